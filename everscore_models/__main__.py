"""``python -m everscore_models``."""

import sys

try:
    from everscore_models.cli import main
except ModuleNotFoundError as error:
    sys.exit(
        f"The package {error.name} is missing: `python3 dev.py setup` installs the tools for models, and "
        "`source .venv/bin/activate` makes them this shell's."
    )

main()
