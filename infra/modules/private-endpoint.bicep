// A private endpoint and the DNS zone group without which its name would still lead to the public address.

@description('Its name.')
param name string
@description('Region.')
param location string
@description('Tags.')
param tags { *: string }
@description('Subnet it lies in.')
param subnetId string
@description('The service.')
param targetId string
@description('The part of it: blob, queue, table, namespace, Sql.')
param groupId string
@description('Its private DNS zone, which is there already.')
param zoneName string

resource zone 'Microsoft.Network/privateDnsZones@2024-06-01' existing = {
  name: zoneName
}

resource endpoint 'Microsoft.Network/privateEndpoints@2025-07-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    subnet: { id: subnetId }
    privateLinkServiceConnections: [
      { name: name, properties: { privateLinkServiceId: targetId, groupIds: [groupId] } }
    ]
  }

  resource zoneGroup 'privateDnsZoneGroups' = {
    name: 'default'
    properties: { privateDnsZoneConfigs: [{ name: groupId, properties: { privateDnsZoneId: zone.id } }] }
  }
}
