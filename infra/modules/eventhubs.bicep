// The hub and the app's consumer group. Of an existing namespace only the group is made: its hub is left as it is.

@description('Its name.')
param name string
@description('Region.')
param location string
@description('Tags.')
param tags { *: string }
@description('Whether to make namespace and hub.')
param create bool
@description('Name of the hub.')
param hubName string
@description('Name of the app\'s consumer group.')
param consumerGroupName string
@description('Of the hub.')
param partitions int
@description('How long the hub keeps events.')
param retentionHours int
@description('To begin with.')
param throughputUnits int
@description('How far it inflates by itself.')
param maximumThroughputUnits int
@description('Whether it can be reached from outside of the virtual network.')
param publicNetworkAccess 'Enabled' | 'Disabled'

resource namespace 'Microsoft.EventHub/namespaces@2026-01-01' = if (create) {
  name: name
  location: location
  tags: tags
  // Standard: Basic has no consumer groups, and a premium unit costs forty times as much as a throughput unit.
  sku: { name: 'Standard', tier: 'Standard', capacity: throughputUnits }
  properties: {
    disableLocalAuth: true
    minimumTlsVersion: '1.2'
    publicNetworkAccess: publicNetworkAccess
    isAutoInflateEnabled: maximumThroughputUnits > throughputUnits
    maximumThroughputUnits: maximumThroughputUnits > throughputUnits ? maximumThroughputUnits : 0
  }

  resource hub 'eventhubs' = {
    name: hubName
    properties: {
      partitionCount: partitions
      retentionDescription: { cleanupPolicy: 'Delete', retentionTimeInHours: retentionHours }
    }
  }
}

resource anyNamespace 'Microsoft.EventHub/namespaces@2026-01-01' existing = {
  name: name

  resource hub 'eventhubs' existing = {
    name: hubName
  }
}

resource group 'Microsoft.EventHub/namespaces/eventhubs/consumergroups@2026-01-01' = {
  parent: anyNamespace::hub
  name: consumerGroupName
  properties: { userMetadata: 'Everscore. Nothing else may read with it.' }
  dependsOn: [namespace::hub]
}

@description('Its resource id.')
output id string = anyNamespace.id
