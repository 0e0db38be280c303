"""The ``everscore`` command."""
