"""A stand-in for Azure Cosmos DB (API for NoSQL), for laptops and tests.

Start it with ``python -m everscore_local.cosmos``.
"""
