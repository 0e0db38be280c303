// For azd, which puts its own values and those of `azd env set` into the environment.
using 'main.bicep'

import { dev, prod } from 'sizes.bicep'

param environmentName = readEnvironmentVariable('AZURE_ENV_NAME')
param location = readEnvironmentVariable('AZURE_LOCATION')
param principalId = readEnvironmentVariable('AZURE_PRINCIPAL_ID', '')
param principalType = readEnvironmentVariable('AZURE_PRINCIPAL_TYPE', 'User')

// dev or prod.
param purpose = readEnvironmentVariable('EVERSCORE_PURPOSE', 'dev')
param sizes = readEnvironmentVariable('EVERSCORE_PURPOSE', 'dev') == 'prod' ? prod : dev
// true or false.
param privateNetwork = bool(readEnvironmentVariable('EVERSCORE_PRIVATE_NETWORK', 'false'))
// JSON: an array of { principalId, principalType }, one of addresses, objects of { name, resourceGroup }, one
// of settings.
param operators = json(readEnvironmentVariable('EVERSCORE_OPERATORS', '[]'))
param alertEmails = json(readEnvironmentVariable('EVERSCORE_ALERT_EMAILS', '[]'))
param existingEventHubs = json(readEnvironmentVariable('EVERSCORE_EXISTING_EVENT_HUBS', 'null'))
param existingCosmos = json(readEnvironmentVariable('EVERSCORE_EXISTING_COSMOS', 'null'))
param settings = json(readEnvironmentVariable('EVERSCORE_SETTINGS', '{}'))
