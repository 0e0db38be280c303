// For `az deployment sub create`: the environment "dev". Change what you like, or a copy.
using 'main.bicep'

import { dev } from 'sizes.bicep'

param environmentName = 'dev'
param location = readEnvironmentVariable('AZURE_LOCATION', 'westeurope')
param purpose = 'dev'
param sizes = dev
// Yours, to be an operator: `az ad signed-in-user show --query id --output tsv` prints it.
param principalId = readEnvironmentVariable('AZURE_PRINCIPAL_ID', '')
param principalType = readEnvironmentVariable('AZURE_PRINCIPAL_TYPE', 'User')
