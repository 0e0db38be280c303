"""Stand-ins for the Azure services, for laptops and tests. Each part runs alone with ``python -m``."""
