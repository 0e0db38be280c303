// For `az deployment sub create`: the environment "dev". Values of the environment stand in for what is here.
using 'main.bicep'

import { dev } from 'sizes.bicep'

param environmentName = readEnvironmentVariable('AZURE_ENV_NAME', 'dev')
param location = readEnvironmentVariable('AZURE_LOCATION', 'westeurope')
param purpose = 'dev'
param sizes = dev
// Yours, to be an operator: `az ad signed-in-user show --query id --output tsv` prints it.
param principalId = readEnvironmentVariable('AZURE_PRINCIPAL_ID', '')
param principalType = readEnvironmentVariable('AZURE_PRINCIPAL_TYPE', 'User')
