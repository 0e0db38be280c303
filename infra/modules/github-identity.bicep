// An identity that GitHub's workflows may sign in as, from some of the repository's environments.

@description('Its name.')
param name string
@description('Region.')
param location string
@description('owner/name')
param repository string
@description('Of the repository.')
param environments string[]

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: name
  location: location

  // One after the other: an identity takes no two at once.
  @batchSize(1)
  resource credentials 'federatedIdentityCredentials' = [
    for environment in environments: {
      name: environment
      properties: {
        issuer: 'https://token.actions.githubusercontent.com'
        subject: 'repo:${repository}:environment:${environment}'
        audiences: ['api://AzureADTokenExchange']
      }
    }
  ]
}

@description('Its object id.')
output principalId string = identity.properties.principalId
@description('Its client id.')
output clientId string = identity.properties.clientId
