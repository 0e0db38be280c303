"""A local Event Hubs server that Microsoft's own clients accept: `python -m everscore_local.eventhubs`."""
