// The identities of the workflows, for a repository of this name.
using '../github.bicep'

param location = 'westeurope'
param repository = 'example/everscore'
