// Who may do what in the storage account.

import { namesType, operatorType } from '../../types.bicep'
import { roles } from 'ids.bicep'

@description('Name of the account.')
param accountName string
@description('Names inside of it.')
param names namesType
@description('The container of the Event Hubs trigger\'s checkpoints.')
param checkpointContainer string
@description('Of the app\'s identity. Assignments are named by this, since `what-if` cannot see the id of one not yet made.')
param identityName string
@description('Its object id.')
param principalId string
@description('Who else.')
param operators operatorType[]

// The host keeps package, leases, keys and checkpoints in containers of its own making (owner of blobs), and
// its diagnostic events in a table.
var hostRoles = [roles.storageBlobDataOwner, roles.storageTableDataContributor]
var queueNames = [names.retryQueue, '${names.retryQueue}-poison']
// Dead letters to list, redrive and purge; claim checks for a redrive's large bodies; checkpoints for
// `everscore status` and `everscore partition skip`.
var operatorContainers = [names.deadLetters, names.claimChecks, checkpointContainer]

var users = map(operators, user => { key: user.principalId, id: user.principalId, type: user.principalType })
var queueUsers = concat([{ key: identityName, id: principalId, type: 'ServicePrincipal' }], users)
var queueGrants = flatten(map(queueNames, queue => map(queueUsers, user => { queue: queue, user: user })))
var containerGrants = flatten(map(
  operatorContainers,
  container => map(users, user => { container: container, user: user })
))

resource account 'Microsoft.Storage/storageAccounts@2026-04-01' existing = {
  name: accountName

  resource blobs 'blobServices' existing = {
    name: 'default'

    resource containers 'containers' existing = [
      for grant in containerGrants: {
        name: grant.container
      }
    ]
  }

  resource queues 'queueServices' existing = {
    name: 'default'

    resource queue 'queues' existing = [
      for grant in queueGrants: {
        name: grant.queue
      }
    ]
  }
}

resource host 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for role in hostRoles: {
    scope: account
    name: guid(account.id, identityName, role)
    properties: {
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role)
      principalId: principalId
      principalType: 'ServicePrincipal'
    }
  }
]

resource onQueues 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (grant, index) in queueGrants: {
    scope: account::queues::queue[index]
    name: guid(account.id, grant.queue, grant.user.key, roles.storageQueueDataContributor)
    properties: {
      roleDefinitionId: subscriptionResourceId(
        'Microsoft.Authorization/roleDefinitions',
        roles.storageQueueDataContributor
      )
      principalId: grant.user.id
      principalType: grant.user.type
    }
  }
]

resource onContainers 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (grant, index) in containerGrants: {
    scope: account::blobs::containers[index]
    name: guid(account.id, grant.container, grant.user.key, roles.storageBlobDataContributor)
    properties: {
      roleDefinitionId: subscriptionResourceId(
        'Microsoft.Authorization/roleDefinitions',
        roles.storageBlobDataContributor
      )
      principalId: grant.user.id
      principalType: grant.user.type
    }
  }
]
