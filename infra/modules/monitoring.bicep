// Logs and metrics. Both refuse everything that is not signed by an identity.

@description('Name of the workspace.')
param workspaceName string
@description('Name of the Application Insights component.')
param componentName string
@description('Region.')
param location string
@description('Tags.')
param tags { *: string }
@description('Days that they are kept.')
param logDays int
@description('Gigabytes a day at which ingestion stops; -1 for none.')
param logDailyGigabytes int

resource workspace 'Microsoft.OperationalInsights/workspaces@2026-03-01' = {
  name: workspaceName
  location: location
  tags: tags
  properties: {
    sku: { name: 'PerGB2018' }
    retentionInDays: logDays
    workspaceCapping: { dailyQuotaGb: logDailyGigabytes }
    features: { disableLocalAuth: true }
  }
}

resource component 'Microsoft.Insights/components@2020-02-02' = {
  name: componentName
  location: location
  tags: tags
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: workspace.id
    DisableLocalAuth: true
  }
}

@description('Resource id of the component.')
output componentId string = component.id
