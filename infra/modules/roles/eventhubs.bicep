// Who may do what with the hub: the app receives, operators send and receive, nobody owns.

import { operatorType } from '../../types.bicep'
import { roles } from 'ids.bicep'

@description('Name of the namespace.')
param namespaceName string
@description('Name of the hub.')
param hubName string
@description('Of the app\'s identity. Assignments are named by this, since `what-if` cannot see the id of one not yet made.')
param identityName string
@description('Its object id.')
param principalId string
@description('Who else.')
param operators operatorType[]

var operatorRoles = [roles.eventHubsDataSender, roles.eventHubsDataReceiver]
var grants = concat(
  [{ role: roles.eventHubsDataReceiver, key: identityName, id: principalId, type: 'ServicePrincipal' }],
  flatten(map(
    operators,
    user =>
      map(operatorRoles, role => { role: role, key: user.principalId, id: user.principalId, type: user.principalType })
  ))
)

resource namespace 'Microsoft.EventHub/namespaces@2026-01-01' existing = {
  name: namespaceName

  resource hub 'eventhubs' existing = {
    name: hubName
  }
}

resource onHub 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for grant in grants: {
    scope: namespace::hub
    name: guid(namespace::hub.id, grant.key, grant.role)
    properties: {
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', grant.role)
      principalId: grant.id
      principalType: grant.type
    }
  }
]
