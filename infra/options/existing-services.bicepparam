// dev, with a hub and a serverless Cosmos DB account that are there already, an operator group, and changed settings.
using '../main.bicep'

import { dev } from '../sizes.bicep'

param environmentName = 'existing'
param location = 'westeurope'
param purpose = 'dev'
param sizes = union(dev, { maximumRequestUnits: 0 })
param existingEventHubs = { name: 'evhns-shared', resourceGroup: 'rg-shared' }
param existingCosmos = { name: 'cosno-shared', resourceGroup: 'rg-shared-data' }
param operators = [{ principalId: '11111111-1111-1111-1111-111111111111', principalType: 'Group' }]
param alertEmails = ['on-call@example.com']
param alertThresholds = { latency: 300, 'no-events': 0 }
param settings = { BATCH_DEADLINE_SECONDS: '10' }
