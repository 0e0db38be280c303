// The function app on Flex Consumption.

@description('Name of the plan.')
param planName string
@description('Name of the app.')
param appName string
@description('Region.')
param location string
@description('Tags.')
param tags { *: string }
@description('The one that requirements.txt is resolved for. The remote build takes it from here as well.')
param pythonVersion string
@description('Resource id of the app\'s identity.')
param identityId string
@description('Its client id.')
param identityClientId string
@description('Name of the storage account.')
param storageName string
@description('The container of the app\'s package.')
param packageContainer string
@description('Name of the Application Insights component.')
param componentName string
@description('What the app itself reads, apart from telemetry: see everscore/config/settings.py.')
param settings { *: string }
@description('Of an instance.')
param instanceMemoryMB int
@description('Upper bound of each function group.')
param maximumInstances int
@description('Instances of score_events that are always there.')
param alwaysReady int
@description('Subnet of the app\'s way out; empty without a virtual network.')
param subnetId string

resource storage 'Microsoft.Storage/storageAccounts@2026-04-01' existing = {
  name: storageName
}

resource component 'Microsoft.Insights/components@2020-02-02' existing = {
  name: componentName
}

// Read by the host; those that it alone reads stand in everscore/platform_settings.json with their reasons. The addresses of
// the three services, not a connection string: with one, the host would fall back to a key.
var platform = {
  AzureWebJobsStorage__blobServiceUri: storage.properties.primaryEndpoints.blob
  AzureWebJobsStorage__queueServiceUri: storage.properties.primaryEndpoints.queue
  AzureWebJobsStorage__tableServiceUri: storage.properties.primaryEndpoints.table
  AzureWebJobsStorage__credential: 'managedidentity'
  AzureWebJobsStorage__clientId: identityClientId
  EVENTHUB__credential: 'managedidentity'
  STORAGE__credential: 'managedidentity'
  APPLICATIONINSIGHTS_CONNECTION_STRING: component.properties.ConnectionString
  APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identityClientId};Authorization=AAD'
}

resource plan 'Microsoft.Web/serverfarms@2025-03-01' = {
  name: planName
  location: location
  tags: tags
  kind: 'functionapp'
  sku: { name: 'FC1', tier: 'FlexConsumption' }
  properties: { reserved: true }
}

resource app 'Microsoft.Web/sites@2025-03-01' = {
  name: appName
  location: location
  // By this tag `azd deploy` finds the app; the value is the service's key in azure.yaml.
  tags: union(tags, { 'azd-service-name': 'app' })
  kind: 'functionapp,linux'
  identity: { type: 'UserAssigned', userAssignedIdentities: { '${identityId}': {} } }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${storage.properties.primaryEndpoints.blob}${packageContainer}'
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identityId
          }
        }
      }
      runtime: { name: 'python', version: pythonVersion }
      scaleAndConcurrency: {
        instanceMemoryMB: instanceMemoryMB
        maximumInstanceCount: maximumInstances
        alwaysReady: alwaysReady > 0 ? [{ name: 'function:score_events', instanceCount: alwaysReady }] : []
      }
    }
    siteConfig: {
      minTlsVersion: '1.2'
      appSettings: map(items(union(settings, platform)), setting => { name: setting.key, value: setting.value })
    }
  }

  // Passwords for uploading code.
  resource ftp 'basicPublishingCredentialsPolicies' = {
    name: 'ftp'
    properties: { allow: false }
  }

  resource scm 'basicPublishingCredentialsPolicies' = {
    name: 'scm'
    properties: { allow: false }
  }
}

@description('Its resource id.')
output id string = app.id
@description('Where the app answers.')
output url string = 'https://${app.properties.defaultHostName}'
