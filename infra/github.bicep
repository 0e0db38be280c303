// Once, by an owner of the subscription: the identities that GitHub's workflows sign in with, without a secret.

targetScope = 'subscription'

@description('Region of the resource group that holds the identities.')
param location string

@description('The repository: owner/name.')
@minLength(3)
param repository string

@description('The resource group that holds the identities.')
param resourceGroupName string = 'rg-everscore-github'

// Contributor makes everything; Role Based Access Control Administrator assigns the app's roles, and no others.
var contributor = 'b24988ac-6180-42a0-ab88-20f7382dd24c'
var accessAdministrator = 'f58310d9-a9f6-439a-9e8d-f62e7b41a168'
var reader = 'acdd72a7-3385-48ef-bd42-f606fba81ae7'

resource group 'Microsoft.Resources/resourceGroups@2025-04-01' = {
  name: resourceGroupName
  location: location
}

module deployer 'modules/github-identity.bicep' = {
  scope: group
  params: {
    name: 'id-everscore-github-deploy'
    location: location
    repository: repository
    environments: ['dev', 'prod']
  }
}

module previewer 'modules/github-identity.bicep' = {
  scope: group
  params: {
    name: 'id-everscore-github-preview'
    location: location
    repository: repository
    environments: ['prod-preview']
  }
}

// What `what-if` needs besides reading, and nothing that changes anything.
resource preview 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(subscription().id, 'everscore-preview')
  properties: {
    roleName: 'Everscore deployment preview'
    description: 'Shows what a deployment would change.'
    type: 'customRole'
    assignableScopes: [subscription().id]
    permissions: [
      {
        actions: [
          'Microsoft.Resources/deployments/read'
          'Microsoft.Resources/deployments/validate/action'
          'Microsoft.Resources/deployments/whatIf/action'
          'Microsoft.Resources/deployments/operationstatuses/read'
        ]
      }
    ]
  }
}

module assignments 'modules/github-roles.bicep' = {
  params: {
    deployerId: deployer.outputs.principalId
    deployerName: 'id-everscore-github-deploy'
    deployerRoles: [contributor]
    accessAdministrator: accessAdministrator
    previewerId: previewer.outputs.principalId
    previewerName: 'id-everscore-github-preview'
    previewerRoles: [reader, last(split(preview.id, '/'))]
  }
}

@description('AZURE_CLIENT_ID of the environments dev and prod.')
output deployClientId string = deployer.outputs.clientId
@description('AZURE_CLIENT_ID of the environment prod-preview.')
output previewClientId string = previewer.outputs.clientId
@description('AZURE_TENANT_ID.')
output tenantId string = tenant().tenantId
@description('AZURE_SUBSCRIPTION_ID.')
output subscriptionId string = subscription().subscriptionId
