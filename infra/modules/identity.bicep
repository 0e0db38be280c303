// The one identity that the app has.

@description('Its name.')
param name string
@description('Region.')
param location string
@description('Tags.')
param tags { *: string }

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: name
  location: location
  tags: tags
}

@description('Its resource id.')
output id string = identity.id
@description('Its object id.')
output principalId string = identity.properties.principalId
@description('Its client id.')
output clientId string = identity.properties.clientId
