// For azd, which puts its own values and those of `azd env set` into the environment.
using 'main.bicep'

import { dev, prod } from 'sizes.bicep'

param environmentName = readEnvironmentVariable('AZURE_ENV_NAME')
param location = readEnvironmentVariable('AZURE_LOCATION')
param principalId = readEnvironmentVariable('AZURE_PRINCIPAL_ID', '')
// azd says who deploys, but not what that is: whoever is no person says so, as the workflows do.
param principalType = readEnvironmentVariable('AZURE_PRINCIPAL_TYPE', 'User')

// dev or prod.
param purpose = readEnvironmentVariable('EVERSCORE_PURPOSE', 'dev')
// Over them those of EVERSCORE_SIZES, a JSON object.
param sizes = union(
  readEnvironmentVariable('EVERSCORE_PURPOSE', 'dev') == 'prod' ? prod : dev,
  json(readEnvironmentVariable('EVERSCORE_SIZES', '{}'))
)
// true or false.
param privateNetwork = bool(readEnvironmentVariable('EVERSCORE_PRIVATE_NETWORK', 'false'))
// JSON: an array of { principalId, principalType }, one of addresses, an object of thresholds, two of
// { name, resourceGroup }, one of names and one of settings.
param operators = json(readEnvironmentVariable('EVERSCORE_OPERATORS', '[]'))
param alertEmails = json(readEnvironmentVariable('EVERSCORE_ALERT_EMAILS', '[]'))
param alertThresholds = json(readEnvironmentVariable('EVERSCORE_ALERT_THRESHOLDS', '{}'))
param existingEventHubs = json(readEnvironmentVariable('EVERSCORE_EXISTING_EVENT_HUBS', 'null'))
param existingCosmos = json(readEnvironmentVariable('EVERSCORE_EXISTING_COSMOS', 'null'))
param otherNames = json(readEnvironmentVariable('EVERSCORE_NAMES', '{}'))
param settings = json(readEnvironmentVariable('EVERSCORE_SETTINGS', '{}'))
