// For `az deployment sub create`: the environment "prod". Change what you like, or a copy.
using 'main.bicep'

import { prod } from 'sizes.bicep'

param environmentName = 'prod'
param location = readEnvironmentVariable('AZURE_LOCATION', 'westeurope')
param purpose = 'prod'
param sizes = prod
// A JSON array of { principalId, principalType }: nobody by default.
param operators = json(readEnvironmentVariable('EVERSCORE_OPERATORS', '[]'))
// A JSON array of addresses.
param alertEmails = json(readEnvironmentVariable('EVERSCORE_ALERT_EMAILS', '[]'))
