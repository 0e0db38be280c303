// The app and its host publish telemetry; nobody without this role does, since keys are off.

import { roles } from 'ids.bicep'

@description('Name of the Application Insights component.')
param componentName string
@description('Of the app\'s identity. Assignments are named by this, since `what-if` cannot see the id of one not yet made.')
param identityName string
@description('Its object id.')
param principalId string

resource component 'Microsoft.Insights/components@2020-02-02' existing = {
  name: componentName
}

resource publisher 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: component
  name: guid(component.id, identityName, roles.monitoringMetricsPublisher)
  properties: {
    roleDefinitionId: subscriptionResourceId(
      'Microsoft.Authorization/roleDefinitions',
      roles.monitoringMetricsPublisher
    )
    principalId: principalId
    principalType: 'ServicePrincipal'
  }
}
