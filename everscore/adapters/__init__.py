"""The only modules that import an Azure SDK. Each translates the SDK's errors into everscore.failures."""
