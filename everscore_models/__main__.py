"""``python -m everscore_models``."""

from everscore_models.cli import main

main()
