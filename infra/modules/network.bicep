// A virtual network for the app's way out, and one for each private endpoint's DNS zone a link to it.

@description('Its name.')
param name string
@description('Region.')
param location string
@description('Tags.')
param tags { *: string }
@description('At least a /25: half for the app\'s instances, half for the endpoints.')
param addressPrefix string
@description('Name of the app\'s subnet.')
param appSubnetName string
@description('Name of the endpoints\' subnet.')
param endpointSubnetName string
@description('Private DNS zones of the endpoints.')
param zoneNames string[]

var half = int(split(addressPrefix, '/')[1]) + 1

resource network 'Microsoft.Network/virtualNetworks@2025-07-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    addressSpace: { addressPrefixes: [addressPrefix] }
    subnets: [
      {
        name: appSubnetName
        properties: {
          addressPrefix: cidrSubnet(addressPrefix, half, 0)
          // What Flex Consumption needs; Microsoft.Web/serverFarms is that of the other plans.
          delegations: [{ name: 'flex', properties: { serviceName: 'Microsoft.App/environments' } }]
        }
      }
      {
        name: endpointSubnetName
        properties: {
          addressPrefix: cidrSubnet(addressPrefix, half, 1)
          privateEndpointNetworkPolicies: 'Disabled'
        }
      }
    ]
  }

  resource appSubnet 'subnets' existing = {
    name: appSubnetName
  }

  resource endpointSubnet 'subnets' existing = {
    name: endpointSubnetName
  }
}

resource zones 'Microsoft.Network/privateDnsZones@2024-06-01' = [
  for zone in zoneNames: {
    name: zone
    location: 'global'
    tags: tags
  }
]

resource links 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = [
  for (zone, index) in zoneNames: {
    parent: zones[index]
    name: name
    location: 'global'
    tags: tags
    properties: { registrationEnabled: false, virtualNetwork: { id: network.id } }
  }
]

@description('The app\'s subnet.')
output appSubnetId string = network::appSubnet.id
@description('The endpoints\' subnet.')
output endpointSubnetId string = network::endpointSubnet.id
