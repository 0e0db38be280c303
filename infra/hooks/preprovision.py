"""Ends with 1 where the region does not offer Flex Consumption with the project's Python.

Standard library alone, on whatever Python azd finds.
"""
# ruff: noqa: INP001, S101, T201 - a program, in a folder that is no package; asserts are for the type checker

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from azure_cli import az, fail, variable

MAIN = Path(__file__).resolve().parents[1] / "main.bicep"


def main() -> None:
    """Ask for the region's offer and compare."""
    if not os.environ.get("AZURE_LOCATION"):
        fail("AZURE_LOCATION is not set: `azd env set AZURE_LOCATION westeurope` chooses a region.")
    location = variable("AZURE_LOCATION").lower().replace(" ", "")
    found = re.search(r"^var pythonVersion = '([\d.]+)'$", MAIN.read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        fail(f"{MAIN} has no line `var pythonVersion = '…'`.")
    python = found.group(1)
    # Without it, az asks about whatever subscription it was last set to.
    subscription = os.environ.get("AZURE_SUBSCRIPTION_ID")
    where = ("--subscription", subscription) if subscription else ()

    offered = az("functionapp", "list-flexconsumption-locations", *where)
    assert isinstance(offered, list)
    regions = sorted(str(each["name"]).lower().replace(" ", "") for each in offered)
    if location not in regions:
        fail(
            f"{location} does not offer Flex Consumption; these regions do: {', '.join(regions)}. "
            "`azd env set AZURE_LOCATION …` chooses one."
        )
    runtimes = az(
        "functionapp", "list-flexconsumption-runtimes", "--location", location, "--runtime", "python", *where
    )
    assert isinstance(runtimes, list)
    versions = sorted({str(each["version"]) for each in runtimes})
    if python not in versions:
        fail(
            f"{location} offers Flex Consumption with Python {', '.join(versions)}, not with {python}, which "
            "the app is built for: `azd env set AZURE_LOCATION …` chooses another region."
        )
    print(f"{location} offers Flex Consumption with Python {python}.", file=sys.stderr)


if __name__ == "__main__":
    main()
