// The storage account: the host's checkpoints and package, retry queue, dead letters, claim checks.

import { namesType } from '../types.bicep'

@description('Its name.')
param name string
@description('Region.')
param location string
@description('Tags.')
param tags { *: string }
@description('Redundancy.')
param sku string
@description('Names inside of it.')
param names namesType
@description('The container that the app\'s package is put into.')
param packageContainer string
@description('The container that the Event Hubs trigger keeps its checkpoints in; the host fixes its name.')
param checkpointContainer string
@description('Age in the retry queue at which an event becomes a dead letter.')
param retryGiveUpDays int
@description('Days until a dead letter is deleted; 0 never deletes any.')
param deadLetterDays int
@description('Whether it can be reached from outside of the virtual network.')
param publicNetworkAccess 'Enabled' | 'Disabled'

// An event of the retry queue whose body lies in a claim check must find it as long as it may live: the age
// at which it is given up, 7 days for whoever pauses retry_events, and one because blobs go by whole days.
var claimCheckDays = retryGiveUpDays + 8

var claimCheckRule = {
  name: 'delete-claim-checks'
  enabled: true
  type: 'Lifecycle'
  definition: {
    filters: {
      blobTypes: ['blockBlob']
      // The status blobs in the same container are written every minute, so they are never old.
      prefixMatch: ['${names.claimChecks}/']
    }
    actions: { baseBlob: { delete: { daysAfterModificationGreaterThan: claimCheckDays } } }
  }
}

var deadLetterRule = {
  name: 'delete-dead-letters'
  enabled: true
  type: 'Lifecycle'
  definition: {
    filters: { blobTypes: ['blockBlob'], prefixMatch: ['${names.deadLetters}/'] }
    actions: { baseBlob: { delete: { daysAfterModificationGreaterThan: deadLetterDays } } }
  }
}

resource account 'Microsoft.Storage/storageAccounts@2026-04-01' = {
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: { name: sku }
  properties: {
    accessTier: 'Hot'
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    publicNetworkAccess: publicNetworkAccess
    supportsHttpsTrafficOnly: true
    networkAcls: {
      bypass: 'None'
      defaultAction: publicNetworkAccess == 'Enabled' ? 'Allow' : 'Deny'
    }
  }

  resource blobs 'blobServices' = {
    name: 'default'
    properties: {
      // A dead letter that was purged by mistake can be brought back.
      deleteRetentionPolicy: { enabled: true, days: 7 }
      containerDeleteRetentionPolicy: { enabled: true, days: 7 }
    }

    resource containers 'containers' = [
      for container in [packageContainer, checkpointContainer, names.deadLetters, names.claimChecks]: {
        name: container
      }
    ]
  }

  resource queues 'queueServices' = {
    name: 'default'

    resource queue 'queues' = [
      for queue in [names.retryQueue, '${names.retryQueue}-poison']: {
        name: queue
      }
    ]
  }

  resource lifecycle 'managementPolicies' = {
    name: 'default'
    properties: {
      policy: { rules: deadLetterDays > 0 ? [claimCheckRule, deadLetterRule] : [claimCheckRule] }
    }
  }
}

@description('Its resource id.')
output id string = account.id
@description('Address of its blobs.')
output blobUri string = account.properties.primaryEndpoints.blob
@description('Address of its queues.')
output queueUri string = account.properties.primaryEndpoints.queue
