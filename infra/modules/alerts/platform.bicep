// Alerts on metrics of the platform itself: they need nothing from the app, so they speak when it is silent.

@description('Tags.')
param tags { *: string }
@description('Who hears of it.')
param actionGroupId string
@description('Where the runbooks stand.')
param runbooks string
@description('In place of a rule\'s threshold, by the rule\'s name.')
param thresholds { *: int }
@description('The namespace.')
param eventHubsId string
@description('Name of the hub.')
param hubName string
@description('The account.')
param cosmosId string
@description('Name of the database.')
param databaseName string
@description('The app.')
param appId string

@description('A bound on one metric.')
type criterionType = {
  @description('As the platform names it.')
  metric: string
  @description('Over the window.')
  aggregation: 'Average' | 'Count' | 'Maximum' | 'Minimum' | 'Total'
  @description('How the measure must stand to the threshold.')
  operator: 'GreaterThan' | 'GreaterThanOrEqual' | 'LessThan' | 'LessThanOrEqual'
  @description('The bound.')
  threshold: int
  @description('What is counted of it.')
  dimensions: {
    @description('Its name.')
    name: string
    @description('The one value that counts.')
    value: string
  }[]
}

@description('An alert.')
type ruleType = {
  @description('Its name.')
  name: string
  @description('What it means when it speaks; the runbook says what to do.')
  description: string
  @description('0 is the worst.')
  severity: 0 | 1 | 2 | 3 | 4
  @description('How often it is evaluated.')
  frequency: string
  @description('The time it looks back.')
  window: string
  @description('The resource that is watched.')
  scope: string
  @description('Of the metrics.')
  namespace: string
  @description('All must hold. The first takes its threshold from the parameter, if that names the rule.')
  criteria: criterionType[]
}

var ofHub = [{ name: 'EntityName', value: hubName }]
var ofDatabase = [{ name: 'DatabaseName', value: databaseName }]

var rules ruleType[] = [
  {
    name: 'events-in-none-out'
    description: 'Events come into the hub, and nobody reads any.'
    severity: 1
    frequency: 'PT5M'
    window: 'PT15M'
    scope: eventHubsId
    namespace: 'Microsoft.EventHub/namespaces'
    criteria: [
      { metric: 'IncomingMessages', aggregation: 'Total', operator: 'GreaterThan', threshold: 0, dimensions: ofHub }
      { metric: 'OutgoingMessages', aggregation: 'Total', operator: 'LessThan', threshold: 1, dimensions: ofHub }
    ]
  }
  {
    name: 'no-events'
    description: 'Nothing comes into the hub any more.'
    severity: 3
    frequency: 'PT15M'
    window: 'PT1H'
    scope: eventHubsId
    namespace: 'Microsoft.EventHub/namespaces'
    criteria: [
      { metric: 'IncomingMessages', aggregation: 'Total', operator: 'LessThan', threshold: 1, dimensions: ofHub }
    ]
  }
  {
    name: 'eventhubs-throttled'
    description: 'Event Hubs refuses requests: the throughput units are used up.'
    severity: 2
    frequency: 'PT5M'
    window: 'PT15M'
    scope: eventHubsId
    namespace: 'Microsoft.EventHub/namespaces'
    criteria: [
      { metric: 'ThrottledRequests', aggregation: 'Total', operator: 'GreaterThan', threshold: 10, dimensions: ofHub }
    ]
  }
  {
    name: 'cosmos-throttled'
    description: 'Cosmos DB refuses requests with 429: the request units are used up, and events wait in the retry queue.'
    severity: 2
    frequency: 'PT5M'
    window: 'PT15M'
    scope: cosmosId
    namespace: 'Microsoft.DocumentDB/databaseAccounts'
    criteria: [
      {
        metric: 'TotalRequests'
        aggregation: 'Count'
        operator: 'GreaterThan'
        threshold: 100
        dimensions: concat(ofDatabase, [{ name: 'StatusCode', value: '429' }])
      }
    ]
  }
  {
    name: 'cosmos-request-units'
    description: 'A physical partition of Cosmos DB is near its request units.'
    severity: 3
    frequency: 'PT5M'
    window: 'PT15M'
    scope: cosmosId
    namespace: 'Microsoft.DocumentDB/databaseAccounts'
    criteria: [
      // The mean of each minute's busiest partition: one hot partition shows, one hot second does not.
      {
        metric: 'NormalizedRUConsumption'
        aggregation: 'Average'
        operator: 'GreaterThan'
        threshold: 85
        dimensions: ofDatabase
      }
    ]
  }
  {
    name: 'app-does-not-run'
    description: 'No function was run for a quarter of an hour, though housekeeping runs every minute.'
    severity: 1
    frequency: 'PT5M'
    window: 'PT15M'
    scope: appId
    namespace: 'Microsoft.Web/sites'
    criteria: [
      // housekeeping is never among the instances that are always ready.
      {
        metric: 'OnDemandFunctionExecutionCount'
        aggregation: 'Total'
        operator: 'LessThan'
        threshold: 1
        dimensions: []
      }
    ]
  }
]

resource alerts 'Microsoft.Insights/metricAlerts@2026-01-01' = [
  for rule in rules: {
    name: 'everscore-${rule.name}'
    location: 'global'
    tags: tags
    properties: {
      description: '${rule.description} Runbook: ${runbooks}#${rule.name}'
      severity: rule.severity
      enabled: true
      autoMitigate: true
      scopes: [rule.scope]
      evaluationFrequency: rule.frequency
      windowSize: rule.window
      criteria: {
        'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
        allOf: map(range(0, length(rule.criteria)), index => {
          name: 'criterion-${index}'
          criterionType: 'StaticThresholdCriterion'
          metricNamespace: rule.namespace
          metricName: rule.criteria[index].metric
          timeAggregation: rule.criteria[index].aggregation
          operator: rule.criteria[index].operator
          threshold: index == 0
            ? (thresholds[?rule.name] ?? rule.criteria[0].threshold)
            : rule.criteria[index].threshold
          dimensions: map(rule.criteria[index].dimensions, dimension => {
            name: dimension.name
            operator: 'Include'
            values: [dimension.value]
          })
        })
      }
      actions: [{ actionGroupId: actionGroupId }]
    }
  }
]
