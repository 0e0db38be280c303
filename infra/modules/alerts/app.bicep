// Alerts on the app's own metrics (everscore/metrics.json) and on the host's record of invocations.

@description('Region.')
param location string
@description('Tags.')
param tags { *: string }
@description('Who hears of it.')
param actionGroupId string
@description('Where the runbooks stand.')
param runbooks string
@description('In place of a rule\'s threshold, by the rule\'s name.')
param thresholds { *: int }
@description('The Application Insights component.')
param componentId string

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
  @description('Gives one row, or one for each value of the dimension, with a column `measure`.')
  query: string
  @description('How the measure must stand to the threshold.')
  operator: 'GreaterThan' | 'GreaterThanOrEqual' | 'LessThan'
  @description('The bound.')
  threshold: int
  @description('Column that splits the alert: one for each of its values.')
  dimension: string?
  @description('In how many of how many evaluations in a row the threshold must be passed.')
  periods: {
    @description('So many.')
    failing: int
    @description('Of so many.')
    evaluated: int
  }?
}

var rules ruleType[] = [
  {
    name: 'lag-against-retention'
    description: 'A partition is so far behind that its oldest events will expire before they are read: percent of what the hub holds.'
    severity: 1
    frequency: 'PT5M'
    window: 'PT15M'
    query: '''
      customMetrics
      | where name == 'everscore.partition.lag_share'
      | extend id = tostring(customDimensions['partition'])
      | summarize measure = 100.0 * min(value) by id
    '''
    dimension: 'id'
    operator: 'GreaterThan'
    threshold: 50
  }
  {
    name: 'checkpoint-stalled'
    description: 'Events wait in a partition, and its checkpoint has not moved: events that waited all that time.'
    severity: 1
    frequency: 'PT5M'
    window: 'PT15M'
    query: '''
      customMetrics
      | where name in ('everscore.partition.lag', 'everscore.partition.checkpoint')
      | extend id = tostring(customDimensions['partition'])
      | summarize
          samples = countif(name == 'everscore.partition.lag'),
          waiting = minif(value, name == 'everscore.partition.lag'),
          lowest = minif(value, name == 'everscore.partition.checkpoint'),
          highest = maxif(value, name == 'everscore.partition.checkpoint')
          by id
      | summarize measure = max(iff(samples >= 10 and lowest == highest, waiting, 0.0)) by id
    '''
    dimension: 'id'
    operator: 'GreaterThan'
    threshold: 0
  }
  {
    name: 'latency'
    description: 'Events take long from the hub to the store: seconds below which 95 % of them stay.'
    severity: 2
    frequency: 'PT5M'
    window: 'PT15M'
    query: '''
      let buckets = customMetrics
      | where name == 'everscore.enqueue_to_stored.events'
      | where tostring(customDimensions['function']) == 'score_events'
      | summarize events = sum(valueSum) by le = todouble(customDimensions.le);
      let total = toscalar(buckets | summarize sum(events));
      buckets
      | order by le asc
      | extend below = row_cumsum(events)
      | where below >= 0.95 * total
      | summarize measure = min(le)
    '''
    operator: 'GreaterThan'
    threshold: 60
    periods: { failing: 2, evaluated: 3 }
  }
  {
    name: 'retry-depth'
    description: 'Many messages wait in the retry queue.'
    severity: 2
    frequency: 'PT5M'
    window: 'PT15M'
    query: '''
      customMetrics
      | where name == 'everscore.retry.depth'
      | summarize measure = min(value)
    '''
    operator: 'GreaterThan'
    threshold: 1000
  }
  {
    name: 'retry-age'
    description: 'Events have waited long in the retry queue: minutes. After 7 days they become dead letters.'
    severity: 2
    frequency: 'PT5M'
    window: 'PT15M'
    query: '''
      customMetrics
      | where name == 'everscore.retry.oldest_age'
      | summarize measure = max(value) / 60
    '''
    operator: 'GreaterThan'
    threshold: 60
  }
  {
    name: 'dead-letters'
    description: 'Events became dead letters, for one reason.'
    severity: 2
    frequency: 'PT5M'
    window: 'PT15M'
    query: '''
      customMetrics
      | where name == 'everscore.events.dead_lettered'
      | extend reason = tostring(customDimensions.reason)
      | summarize measure = sum(valueSum) by reason
    '''
    dimension: 'reason'
    operator: 'GreaterThan'
    threshold: 0
  }
  {
    name: 'brake'
    description: 'Most events fail for one reason, or none was scored yet: the configuration is wrong, not the data. They wait for a day.'
    severity: 1
    frequency: 'PT5M'
    window: 'PT15M'
    query: '''
      customMetrics
      | where name == 'everscore.brake.batches'
      | extend reason = tostring(customDimensions.reason)
      | summarize measure = sum(valueSum) by reason
    '''
    dimension: 'reason'
    operator: 'GreaterThan'
    threshold: 0
  }
  {
    name: 'poison'
    description: 'Messages lie in the poison queue: crashes, or housekeeping does not come through.'
    severity: 1
    frequency: 'PT5M'
    window: 'PT15M'
    query: '''
      customMetrics
      | where name == 'everscore.poison.depth'
      | summarize measure = max(value)
    '''
    operator: 'GreaterThan'
    threshold: 0
  }
  {
    name: 'store-out-of-reach'
    description: 'The breaker before Cosmos DB is open: every event goes to the retry queue.'
    severity: 1
    frequency: 'PT5M'
    window: 'PT5M'
    query: '''
      customMetrics
      | where name == 'everscore.breaker.state'
      | summarize measure = countif(value == 2)
    '''
    operator: 'GreaterThan'
    threshold: 0
    periods: { failing: 2, evaluated: 2 }
  }
  {
    name: 'function-failures'
    description: 'Invocations of a function failed.'
    severity: 2
    frequency: 'PT5M'
    window: 'PT15M'
    query: '''
      requests
      | where success == false
      | summarize measure = sum(itemCount) by operation_Name
    '''
    dimension: 'operation_Name'
    operator: 'GreaterThan'
    threshold: 0
  }
  {
    name: 'app-is-silent'
    description: 'The app sends no metrics, so that no alert on them can speak.'
    severity: 1
    frequency: 'PT5M'
    window: 'PT15M'
    query: '''
      customMetrics
      | where name == 'everscore.retry.depth'
      | summarize measure = count()
    '''
    operator: 'LessThan'
    threshold: 1
  }
]

resource alerts 'Microsoft.Insights/scheduledQueryRules@2026-03-01' = [
  for rule in rules: {
    name: 'everscore-${rule.name}'
    location: location
    tags: tags
    kind: 'LogAlert'
    properties: {
      displayName: 'everscore-${rule.name}'
      description: '${rule.description} Runbook: ${runbooks}#${rule.name}'
      severity: rule.severity
      enabled: true
      autoMitigate: true
      scopes: [componentId]
      evaluationFrequency: rule.frequency
      windowSize: rule.window
      // The tables are made by the first telemetry, which comes after this.
      skipQueryValidation: true
      criteria: {
        allOf: [
          {
            query: rule.query
            timeAggregation: 'Maximum'
            metricMeasureColumn: 'measure'
            operator: rule.operator
            threshold: thresholds[?rule.name] ?? rule.threshold
            dimensions: rule.?dimension == null ? [] : [{ name: rule.dimension!, operator: 'Include', values: ['*'] }]
            failingPeriods: {
              numberOfEvaluationPeriods: rule.?periods.?evaluated ?? 1
              minFailingPeriodsToAlert: rule.?periods.?failing ?? 1
            }
          }
        ]
      }
      actions: { actionGroups: [actionGroupId] }
    }
  }
]
