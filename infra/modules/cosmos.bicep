// The store. Of an existing account nothing is changed; database and container are made in it.

import { namesType } from '../types.bicep'

@description('Its name.')
param name string
@description('Region.')
param location string
@description('Tags.')
param tags { *: string }
@description('Whether to make the account.')
param create bool
@description('Names inside of it.')
param names namesType
@description('0: none is asked for, as a serverless account demands.')
param maximumRequestUnits int
@description('Days until a document expires; 0 keeps it for ever.')
param documentDays int
@description('How far back it can be restored.')
param backup 'Continuous7Days' | 'Continuous30Days'
@description('Whether it is spread over availability zones.')
param zoneRedundant bool
@description('Whether it can be reached from outside of the virtual network.')
param publicNetworkAccess 'Enabled' | 'Disabled'

resource account 'Microsoft.DocumentDB/databaseAccounts@2026-03-15' = if (create) {
  name: name
  location: location
  tags: tags
  kind: 'GlobalDocumentDB'
  properties: {
    databaseAccountOfferType: 'Standard'
    locations: [{ locationName: location, failoverPriority: 0, isZoneRedundant: zoneRedundant }]
    // Each event is written by one batch and read by its partition key: nothing needs a stronger one.
    consistencyPolicy: { defaultConsistencyLevel: 'Session' }
    disableLocalAuth: true
    disableKeyBasedMetadataWriteAccess: true
    minimalTlsVersion: 'Tls12'
    publicNetworkAccess: publicNetworkAccess
    backupPolicy: { type: 'Continuous', continuousModeProperties: { tier: backup } }
    // Request units that were not used in the last five minutes soften a burst.
    enableBurstCapacity: true
  }
}

resource anyAccount 'Microsoft.DocumentDB/databaseAccounts@2026-03-15' existing = {
  name: name
}

resource database 'Microsoft.DocumentDB/databaseAccounts/sqlDatabases@2026-03-15' = {
  parent: anyAccount
  name: names.database
  properties: { resource: { id: names.database } }
  dependsOn: [account]

  resource container 'containers' = {
    name: names.container
    properties: {
      resource: {
        id: names.container
        partitionKey: { kind: 'Hash', version: 2, paths: ['/pk'] }
        // -1: expiry is switched on, so that one document can have a "ttl", but by default none goes.
        defaultTtl: documentDays > 0 ? documentDays * 24 * 60 * 60 : -1
        // Only what queries filter and sort by: an index on every field of every payload would double the
        // price of a write.
        indexingPolicy: {
          indexingMode: 'consistent'
          automatic: true
          includedPaths: [{ path: '/pk/?' }, { path: '/time/?' }, { path: '/scores/*' }]
          excludedPaths: [{ path: '/*' }]
        }
      }
      options: maximumRequestUnits > 0 ? { autoscaleSettings: { maxThroughput: maximumRequestUnits } } : {}
    }
  }
}

@description('Its resource id.')
output id string = anyAccount.id
