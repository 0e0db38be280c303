// Sizes for two purposes. What each number means stands in types.bicep; here is why it is what it is.

import { sizesType } from 'types.bicep'

@export()
@description('To try things: little cost when idle, everything can be made anew.')
var dev sizesType = {
  partitions: 4 // as in the local stack
  retentionHours: 24 // included in the price
  throughputUnits: 1
  maximumThroughputUnits: 2 // a mistake in a test sender costs at most twice
  maximumRequestUnits: 1000 // the least there is: 100 when idle
  documentDays: 30
  cosmosBackup: 'Continuous7Days' // free of charge
  cosmosZoneRedundant: false
  storageSku: 'Standard_LRS'
  instanceMemoryMB: 2048 // the model and the SDKs take about 300 MB; the core is what one pays for
  maximumInstances: 40
  alwaysReady: 0 // nothing runs between tests
  retryGiveUpDays: 7
  deadLetterDays: 30
  logDays: 30
  logDailyGigabytes: 1
}

@export()
@description('For a stream of about 1,000 events a second, several times that in a burst.')
var prod sizesType = {
  partitions: 16 // cannot be raised later: room for 16 instances, about ten times what 1,000 events a second need
  retentionHours: 72 // a long weekend to notice and mend
  throughputUnits: 2 // 1,000 events of 1 KB a second fill one; the app, redrives and replays read besides
  maximumThroughputUnits: 10
  maximumRequestUnits: 20000 // 1,000 documents a second take about 10,000; the rest is for bursts and replays
  documentDays: 0 // whoever wants documents to go says so
  cosmosBackup: 'Continuous30Days'
  cosmosZoneRedundant: true
  storageSku: 'Standard_ZRS' // checkpoints and retry queue survive the loss of a zone
  instanceMemoryMB: 2048
  maximumInstances: 100 // score_events stops at the partitions; this bounds the retries after an outage
  alwaysReady: 1
  retryGiveUpDays: 7
  deadLetterDays: 0
  logDays: 90
  logDailyGigabytes: -1
}
