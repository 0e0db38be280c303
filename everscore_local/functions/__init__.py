"""A local Azure Functions host that drives Microsoft's own Python worker library.

Run it with ``python -m everscore_local.functions --app DIR``. See README.md in this folder for what is
faithful to the real host and what is not.
"""
