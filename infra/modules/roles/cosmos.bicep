// Who may read and write documents: Cosmos DB has roles of its own for that.

import { operatorType } from '../../types.bicep'
import { cosmosRoles } from 'ids.bicep'

@description('Name of the account.')
param accountName string
@description('Name of the database.')
param databaseName string
@description('Of the app\'s identity. Assignments are named by this, since `what-if` cannot see the id of one not yet made.')
param identityName string
@description('Its object id.')
param principalId string
@description('Who else.')
param operators operatorType[]

var grants = concat(
  [{ role: cosmosRoles.dataContributor, key: identityName, id: principalId }],
  map(operators, user => { role: cosmosRoles.dataReader, key: user.principalId, id: user.principalId })
)

resource account 'Microsoft.DocumentDB/databaseAccounts@2026-03-15' existing = {
  name: accountName
}

var scope = '${account.id}/dbs/${databaseName}'

// One after the other: the account takes no two at once.
@batchSize(1)
resource onDatabase 'Microsoft.DocumentDB/databaseAccounts/sqlRoleAssignments@2026-03-15' = [
  for grant in grants: {
    parent: account
    name: guid(scope, grant.key, grant.role)
    properties: {
      roleDefinitionId: '${account.id}/sqlRoleDefinitions/${grant.role}'
      principalId: grant.id
      scope: scope
    }
  }
]
