// Everything that Everscore needs in a subscription, in one resource group.

targetScope = 'subscription'

import { defaultNames, existingType, namesType, operatorType, otherNamesType, sizesType, textsType } from 'types.bicep'

metadata description = 'Everscore: scores a stream of events with an ONNX model, stores every result, and never loses an event.'

@description('Names everything; azd calls it the environment. Letters, digits and single hyphens between them.')
@minLength(2)
@maxLength(20) // a name of a Cosmos DB account has 44 characters at most
param environmentName string

@description('Region. It must offer Flex Consumption with this Python: infra/hooks/preprovision.py says whether it does.')
@metadata({ azd: { type: 'location' } })
param location string

@description('What this is for. In dev the deploying principal becomes an operator, in prod nobody does by itself.')
@allowed(['dev', 'prod'])
param purpose string

@description('How large everything is; sizes.bicep has two of these, with reasons.')
param sizes sizesType

@description('The one who deploys; azd fills it in. Without effect in prod.')
param principalId string = ''

@description('What the one who deploys is.')
@allowed(['User', 'Group', 'ServicePrincipal'])
param principalType string = 'User'

@description('Who else may send events, read documents, and handle retry queue and dead letters.')
param operators operatorType[] = []

@description('Names inside of the services, where they are other than those in types.bicep.')
param otherNames otherNamesType = {}

@description('Further settings of the app, by the names of docs/settings.md: BATCH_DEADLINE_SECONDS, DECODER …')
param settings textsType = {}

@description('A namespace with a hub of the name in `names`, in place of new ones. Only a consumer group is made in it.')
param existingEventHubs existingType?

@description('A Cosmos DB account for NoSQL in place of a new one. Database and container are made in it.')
param existingCosmos existingType?

@description('Whether the services are reached through private endpoints in a virtual network alone.')
param privateNetwork bool = false

@description('Addresses of that network: a /24 or larger leaves both subnets enough of them.')
param networkAddressPrefix string = '10.60.0.0/24'

@description('Who hears of alerts.')
param alertEmails string[] = []

@description('In place of an alert\'s threshold, by the alert\'s name in docs/operations.md.')
param alertThresholds { *: int } = {}

@description('Where the runbooks stand; each alert has its own heading there.')
param runbooks string = 'docs/operations.md'

@description('Further tags for everything.')
param tags textsType = {}

// The one that pyproject.toml asks for and requirements.txt is resolved for; a test compares them.
var pythonVersion = '3.13'
var packageContainer = 'app-package'
// The Event Hubs trigger of the Functions host takes this one and no other.
var checkpointContainer = 'azure-webjobs-eventhub'

var names namesType = union(defaultNames, otherNames)

var abbreviations = loadJsonContent('abbreviations.json')
var unique = take(uniqueString(subscription().id, environmentName, location), 6)
var base = 'everscore-${toLower(environmentName)}'
var allTags = union({ workload: 'everscore', purpose: purpose, 'azd-env-name': environmentName }, tags)

// Names of the resources. Those that all of Azure shares end in letters of their own.
var groupName = '${abbreviations.resourceGroup}-${base}'
var identityName = '${abbreviations.identity}-${base}'
var storageName = '${abbreviations.storageAccount}evs${take(replace(toLower(environmentName), '-', ''), 12)}${unique}'
var eventHubsName = existingEventHubs.?name ?? '${abbreviations.eventHubsNamespace}-${base}-${unique}'
var cosmosName = existingCosmos.?name ?? '${abbreviations.cosmosAccount}-${base}-${unique}'
var componentName = '${abbreviations.appInsights}-${base}'
var appName = '${abbreviations.functionApp}-${base}-${unique}'
var networkName = '${abbreviations.virtualNetwork}-${base}'

var eventHubsGroup = existingEventHubs.?resourceGroup ?? groupName
var cosmosGroup = existingCosmos.?resourceGroup ?? groupName
var publicNetworkAccess = privateNetwork ? 'Disabled' : 'Enabled'

var deployer = purpose == 'dev' && !empty(principalId)
  ? [{ principalId: principalId, principalType: principalType }]
  : []
// Union, so that who deploys and is named as well counts once.
var allOperators = union(deployer, operators)

resource group 'Microsoft.Resources/resourceGroups@2025-04-01' = {
  name: groupName
  location: location
  tags: allTags
}

module identity 'modules/identity.bicep' = {
  scope: group
  params: {
    name: identityName
    location: location
    tags: allTags
  }
}

module monitoring 'modules/monitoring.bicep' = {
  scope: group
  params: {
    workspaceName: '${abbreviations.logAnalytics}-${base}'
    componentName: componentName
    location: location
    tags: allTags
    logDays: sizes.logDays
    logDailyGigabytes: sizes.logDailyGigabytes
  }
}

module storage 'modules/storage.bicep' = {
  scope: group
  params: {
    name: storageName
    location: location
    tags: allTags
    sku: sizes.storageSku
    names: names
    packageContainer: packageContainer
    checkpointContainer: checkpointContainer
    retryGiveUpDays: sizes.retryGiveUpDays
    deadLetterDays: sizes.deadLetterDays
    publicNetworkAccess: publicNetworkAccess
  }
}

module eventHubs 'modules/eventhubs.bicep' = {
  scope: resourceGroup(eventHubsGroup)
  params: {
    name: eventHubsName
    location: location
    tags: allTags
    create: existingEventHubs == null
    hubName: names.hub
    consumerGroupName: names.consumerGroup
    partitions: sizes.partitions
    retentionHours: sizes.retentionHours
    throughputUnits: sizes.throughputUnits
    maximumThroughputUnits: sizes.maximumThroughputUnits
    publicNetworkAccess: publicNetworkAccess
  }
  dependsOn: [group]
}

module cosmos 'modules/cosmos.bicep' = {
  scope: resourceGroup(cosmosGroup)
  params: {
    name: cosmosName
    location: location
    tags: allTags
    create: existingCosmos == null
    names: names
    maximumRequestUnits: sizes.maximumRequestUnits
    documentDays: sizes.documentDays
    backup: sizes.cosmosBackup
    zoneRedundant: sizes.cosmosZoneRedundant
    publicNetworkAccess: publicNetworkAccess
  }
  dependsOn: [group]
}

module storageRoles 'modules/roles/storage.bicep' = {
  scope: group
  params: {
    accountName: storageName
    names: names
    checkpointContainer: checkpointContainer
    identityName: identityName
    principalId: identity.outputs.principalId
    operators: allOperators
  }
  dependsOn: [storage]
}

module eventHubsRoles 'modules/roles/eventhubs.bicep' = {
  scope: resourceGroup(eventHubsGroup)
  params: {
    namespaceName: eventHubsName
    hubName: names.hub
    identityName: identityName
    principalId: identity.outputs.principalId
    operators: allOperators
  }
  dependsOn: [eventHubs]
}

module cosmosRoles 'modules/roles/cosmos.bicep' = {
  scope: resourceGroup(cosmosGroup)
  params: {
    accountName: cosmosName
    databaseName: names.database
    identityName: identityName
    principalId: identity.outputs.principalId
    operators: allOperators
  }
  dependsOn: [cosmos]
}

module monitoringRoles 'modules/roles/monitoring.bicep' = {
  scope: group
  params: {
    componentName: componentName
    identityName: identityName
    principalId: identity.outputs.principalId
  }
  dependsOn: [monitoring]
}

var storageZones = map(['blob', 'queue', 'table'], part => {
  part: part
  zone: 'privatelink.${part}.${environment().suffixes.storage}'
})
// These two have no entry in environment().suffixes.
var eventHubsZone = 'privatelink.servicebus.windows.net'
var cosmosZone = 'privatelink.documents.azure.com'

module network 'modules/network.bicep' = if (privateNetwork) {
  scope: group
  params: {
    name: networkName
    location: location
    tags: allTags
    addressPrefix: networkAddressPrefix
    appSubnetName: '${abbreviations.subnet}-app'
    endpointSubnetName: '${abbreviations.subnet}-endpoints'
    zoneNames: concat(map(storageZones, each => each.zone), [eventHubsZone, cosmosZone])
  }
}

// One after the other: the account takes no two at once.
@batchSize(1)
module storageEndpoints 'modules/private-endpoint.bicep' = [
  for each in storageZones: if (privateNetwork) {
    scope: group
    params: {
      name: '${abbreviations.privateEndpoint}-${base}-${each.part}'
      location: location
      tags: allTags
      subnetId: network!.outputs.endpointSubnetId
      targetId: storage.outputs.id
      groupId: each.part
      zoneName: each.zone
    }
  }
]

module eventHubsEndpoint 'modules/private-endpoint.bicep' = if (privateNetwork) {
  scope: group
  params: {
    name: '${abbreviations.privateEndpoint}-${base}-eventhubs'
    location: location
    tags: allTags
    subnetId: network!.outputs.endpointSubnetId
    targetId: eventHubs.outputs.id
    groupId: 'namespace'
    zoneName: eventHubsZone
  }
}

module cosmosEndpoint 'modules/private-endpoint.bicep' = if (privateNetwork) {
  scope: group
  params: {
    name: '${abbreviations.privateEndpoint}-${base}-cosmos'
    location: location
    tags: allTags
    subnetId: network!.outputs.endpointSubnetId
    targetId: cosmos.outputs.id
    groupId: 'Sql'
    zoneName: cosmosZone
  }
  // The account takes one change at a time, and refuses another meanwhile.
  dependsOn: [cosmosRoles]
}

var eventHubsHost = '${eventHubsName}.servicebus.windows.net'
var cosmosEndpointUri = 'https://${cosmosName}.documents.azure.com'

// Where things are: the same for the app and for whoever runs the `everscore` command.
var places = {
  EVENTHUB__fullyQualifiedNamespace: eventHubsHost
  COSMOS__accountEndpoint: cosmosEndpointUri
  STORAGE__blobServiceUri: storage.outputs.blobUri
  STORAGE__queueServiceUri: storage.outputs.queueUri
  EVENTHUB_NAME: names.hub
  EVENTHUB_CONSUMER_GROUP: names.consumerGroup
  COSMOS_DATABASE: names.database
  COSMOS_CONTAINER: names.container
  RETRY_QUEUE: names.retryQueue
  DEADLETTER_CONTAINER: names.deadLetters
  CLAIMCHECK_CONTAINER: names.claimChecks
}

module app 'modules/functionapp.bicep' = {
  scope: group
  params: {
    planName: '${abbreviations.appServicePlan}-${base}'
    appName: appName
    location: location
    tags: allTags
    pythonVersion: pythonVersion
    identityId: identity.outputs.id
    identityClientId: identity.outputs.clientId
    storageName: storageName
    packageContainer: packageContainer
    componentName: componentName
    settings: union(settings, places, {
      EVENTHUB__clientId: identity.outputs.clientId
      COSMOS__clientId: identity.outputs.clientId
      STORAGE__clientId: identity.outputs.clientId
      // Here and not in `settings`: the life of claim checks depends on it.
      RETRY_GIVE_UP_DAYS: string(sizes.retryGiveUpDays)
    })
    instanceMemoryMB: sizes.instanceMemoryMB
    maximumInstances: sizes.maximumInstances
    alwaysReady: sizes.alwaysReady
    subnetId: privateNetwork ? network!.outputs.appSubnetId : ''
  }
  // A new assignment takes minutes to work: those that come first have the most of them.
  dependsOn: [
    storageRoles
    eventHubsRoles
    cosmosRoles
    monitoringRoles
    storageEndpoints
    eventHubsEndpoint
    cosmosEndpoint
  ]
}

module actionGroup 'modules/alerts/action-group.bicep' = {
  scope: group
  params: {
    name: '${abbreviations.actionGroup}-${base}'
    tags: allTags
    emails: alertEmails
  }
}

module platformAlerts 'modules/alerts/platform.bicep' = {
  scope: group
  params: {
    tags: allTags
    actionGroupId: actionGroup.outputs.id
    runbooks: runbooks
    thresholds: alertThresholds
    eventHubsId: eventHubs.outputs.id
    hubName: names.hub
    cosmosId: cosmos.outputs.id
    databaseName: names.database
    appId: app.outputs.id
  }
}

module appAlerts 'modules/alerts/app.bicep' = {
  scope: group
  params: {
    location: location
    tags: allTags
    actionGroupId: actionGroup.outputs.id
    runbooks: runbooks
    thresholds: alertThresholds
    componentId: monitoring.outputs.componentId
  }
}

module workbook 'modules/workbook.bicep' = {
  scope: group
  params: {
    location: location
    tags: allTags
    displayName: 'Everscore ${environmentName}'
    componentId: monitoring.outputs.componentId
    eventHubsId: eventHubs.outputs.id
    cosmosId: cosmos.outputs.id
    appId: app.outputs.id
  }
}

// azd keeps these in its environment: `everscore` reads the settings from there, the hooks the rest.
@description('Region.')
output AZURE_LOCATION string = location
@description('The resource group.')
output AZURE_RESOURCE_GROUP string = groupName
@description('Name of the app.')
output EVERSCORE_FUNCTION_APP string = appName
@description('Where it answers.')
output EVERSCORE_APP_URL string = app.outputs.url
@description('Whether the services can be reached from the virtual network alone.')
output EVERSCORE_PRIVATE_NETWORK bool = privateNetwork
@description('Whether the one who deploys is named as an operator, so that the smoke may send events and read documents.')
output EVERSCORE_DEPLOYER_OPERATES bool = contains(map(allOperators, each => each.principalId), principalId)
@description('Host name of the namespace.')
output EVENTHUB__fullyQualifiedNamespace string = eventHubsHost
@description('Address of the account.')
output COSMOS__accountEndpoint string = cosmosEndpointUri
@description('Address of the blobs.')
output STORAGE__blobServiceUri string = storage.outputs.blobUri
@description('Address of the queues.')
output STORAGE__queueServiceUri string = storage.outputs.queueUri
@description('The hub.')
output EVENTHUB_NAME string = names.hub
@description('The app\'s consumer group.')
output EVENTHUB_CONSUMER_GROUP string = names.consumerGroup
@description('The database.')
output COSMOS_DATABASE string = names.database
@description('The container.')
output COSMOS_CONTAINER string = names.container
@description('The retry queue.')
output RETRY_QUEUE string = names.retryQueue
@description('The container of the dead letters.')
output DEADLETTER_CONTAINER string = names.deadLetters
@description('The container of the claim checks.')
output CLAIMCHECK_CONTAINER string = names.claimChecks
