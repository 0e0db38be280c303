// Roles of the workflows' identities in the subscription.

targetScope = 'subscription'

import { roles } from 'roles/ids.bicep'

@description('Object id of the identity that deploys.')
param deployerId string
@description('Its name, by which its assignments are named.')
param deployerName string
@description('Its roles, without the one that assigns roles.')
param deployerRoles string[]
@description('The role that assigns roles.')
param accessAdministrator string
@description('Object id of the identity that previews.')
param previewerId string
@description('Its name, by which its assignments are named.')
param previewerName string
@description('Its roles.')
param previewerRoles string[]

var assignable = join(map(items(roles), role => role.value), ', ')
var action = 'Microsoft.Authorization/roleAssignments'
// Only the roles that this project assigns.
var condition = '''
((!(ActionMatches{'{0}/write'})) OR (@Request[{0}:RoleDefinitionId] ForAnyOfAnyValues:GuidEquals {1}))
AND
((!(ActionMatches{'{0}/delete'})) OR (@Resource[{0}:RoleDefinitionId] ForAnyOfAnyValues:GuidEquals {1}))
'''

resource deployer 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for role in deployerRoles: {
    name: guid(subscription().id, deployerName, role)
    properties: {
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role)
      principalId: deployerId
      principalType: 'ServicePrincipal'
    }
  }
]

resource assigner 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(subscription().id, deployerName, accessAdministrator)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', accessAdministrator)
    principalId: deployerId
    principalType: 'ServicePrincipal'
    conditionVersion: '2.0'
    condition: replace(replace(condition, '{0}', action), '{1}', '{${assignable}}')
  }
}

resource previewer 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for role in previewerRoles: {
    name: guid(subscription().id, previewerName, role)
    properties: {
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role)
      principalId: previewerId
      principalType: 'ServicePrincipal'
    }
  }
]
