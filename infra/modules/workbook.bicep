// The dashboard. Its content is a file of its own, so that it can be edited in the portal and pasted back.

@description('Region.')
param location string
@description('Tags.')
param tags { *: string }
@description('As the portal shows it.')
param displayName string
@description('The Application Insights component.')
param componentId string
@description('The namespace.')
param eventHubsId string
@description('The account.')
param cosmosId string
@description('The app.')
param appId string

var content = loadTextContent('../workbook.json')

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(resourceGroup().id, 'everscore')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: displayName
    category: 'workbook'
    version: 'Notebook/1.0'
    sourceId: componentId
    serializedData: replace(
      replace(replace(content, '__EVENT_HUBS_ID__', eventHubsId), '__COSMOS_ID__', cosmosId),
      '__APP_ID__',
      appId
    )
  }
}
