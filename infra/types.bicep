// What parameters look like.

@export()
@description('Texts by name.')
type textsType = {
  @description('Any.')
  *: string
}

@export()
@description('Somebody who may send events, read documents, and handle retry queue and dead letters.')
type operatorType = {
  @description('Object id in Microsoft Entra ID.')
  principalId: string
  @description('What that is.')
  principalType: 'User' | 'Group' | 'ServicePrincipal'
}

@export()
@description('A service that is there already, in this subscription.')
type existingType = {
  @minLength(1)
  @description('Its name.')
  name: string
  @minLength(1)
  @description('The resource group it is in.')
  resourceGroup: string
}

@export()
@description('Names of what the app finds in its services. The defaults are those of the local stack.')
type namesType = {
  @description('The hub.')
  hub: string
  @description('A consumer group that nothing else reads with.')
  consumerGroup: string
  @description('The database.')
  database: string
  @description('The container.')
  container: string
  @description('At most 56 characters, so that "-poison" fits behind it.')
  @maxLength(56)
  retryQueue: string
  @description('Blob container of the dead letters.')
  deadLetters: string
  @description('Blob container of bodies too large for a queue message.')
  claimChecks: string
}

@export()
@description('The names unless others are asked for: those of the local stack.')
var defaultNames namesType = {
  hub: 'events'
  consumerGroup: 'everscore'
  database: 'everscore'
  container: 'events'
  retryQueue: 'events-retry'
  deadLetters: 'dead-letters'
  claimChecks: 'claim-checks'
}

@export()
@description('Other names than these.')
type otherNamesType = {
  @description('The hub.')
  hub: string?
  @description('A consumer group that nothing else reads with.')
  consumerGroup: string?
  @description('The database.')
  database: string?
  @description('The container.')
  container: string?
  @description('At most 56 characters, so that "-poison" fits behind it.')
  @maxLength(56)
  retryQueue: string?
  @description('Blob container of the dead letters.')
  deadLetters: string?
  @description('Blob container of bodies too large for a queue message.')
  claimChecks: string?
}

@export()
@description('How large everything is. dev and prod below are two of these.')
type sizesType = {
  @description('Of the hub. No partition is served by two instances at once, so this caps how far score_events scales out; in the Standard tier it can never be changed.')
  @minValue(1)
  @maxValue(32)
  partitions: int

  @description('How long the hub keeps events: the time there is to notice that nothing is read, and to mend it. Up to 168 in the Standard tier.')
  @minValue(1)
  @maxValue(168)
  retentionHours: int

  @description('Of the namespace, to begin with. One takes in 1 MB or 1,000 events a second, and gives out twice that.')
  @minValue(1)
  @maxValue(40)
  throughputUnits: int

  @description('How far the namespace inflates by itself; it never deflates.')
  @minValue(1)
  @maxValue(40)
  maximumThroughputUnits: int

  @description('Request units a second that the container scales up to, in steps of 1,000; a tenth of it is always paid for. 0 for an existing serverless account, which takes no such number.')
  @minValue(0)
  @maxValue(1000000)
  maximumRequestUnits: int

  @description('Days until a document expires; 0 keeps it for ever.')
  @minValue(0)
  documentDays: int

  @description('How far back the Cosmos DB account can be restored.')
  cosmosBackup: 'Continuous7Days' | 'Continuous30Days'

  @description('Whether the Cosmos DB account is spread over availability zones.')
  cosmosZoneRedundant: bool

  @description('Redundancy of the storage account: of checkpoints, retry queue and dead letters.')
  storageSku: 'Standard_LRS' | 'Standard_ZRS' | 'Standard_GRS' | 'Standard_GZRS'

  @description('Of an instance: 512 has a quarter of a core, 2048 one, 4096 two.')
  instanceMemoryMB: 512 | 2048 | 4096

  @description('Upper bound of instances. It counts for each function group on its own: score_events, retry_events, housekeeping and HTTP each may grow to it. 40 is the least that the plan takes.')
  @minValue(40)
  @maxValue(1000)
  maximumInstances: int

  @description('Instances of score_events that are always there, so that no event waits for a cold start.')
  @minValue(0)
  @maxValue(100)
  alwaysReady: int

  @description('Age in the retry queue at which an event becomes a dead letter (RETRY_GIVE_UP_DAYS). Claim checks are kept for 8 days more.')
  @minValue(1)
  @maxValue(365)
  retryGiveUpDays: int

  @description('Days until a dead letter is deleted; 0 never deletes any.')
  @minValue(0)
  deadLetterDays: int

  @description('Days that logs and metrics are kept. 30 to 90 cost the same in Application Insights.')
  @minValue(30)
  @maxValue(730)
  logDays: int

  @description('Gigabytes of logs a day at which ingestion stops, so that an error in a loop has a price limit; -1 for none. Alerts on the app go blind above it, those on platform metrics do not.')
  logDailyGigabytes: int
}
