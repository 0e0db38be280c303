// prod, with the services in a virtual network of their own.
using '../main.bicep'

import { prod } from '../sizes.bicep'

param environmentName = 'private'
param location = 'westeurope'
param purpose = 'prod'
param sizes = prod
param privateNetwork = true
