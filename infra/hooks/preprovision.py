"""Ends with 1 where the deployment would fail, before anything is made.

The environment's name must fit the names of resources, the region must offer Flex Consumption with the
project's Python, and a private network needs a resource provider that no template registers. Standard library
alone, on whatever Python azd finds.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from azure_cli import az, fail, variable

MAIN = Path(__file__).resolve().parents[1] / "main.bicep"
# As main.bicep takes it, and as every resource named by it does.
NAME = re.compile(r"(?=.{2,20}$)[A-Za-z0-9]+(-[A-Za-z0-9]+)*")


def main() -> None:
    """Ask for what there is and compare."""
    name = os.environ.get("AZURE_ENV_NAME", "")
    if name and NAME.fullmatch(name) is None:
        fail(
            f"The environment's name, {name}, becomes part of the names of resources: give 2 to 20 letters "
            "and digits, with single hyphens between them (`azd env new` makes another environment)."
        )
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
    regions = sorted(str(each["name"]).lower().replace(" ", "") for each in offered)
    if location not in regions:
        fail(
            f"{location} does not offer Flex Consumption; these regions do: {', '.join(regions)}. "
            "`azd env set AZURE_LOCATION …` chooses one."
        )
    runtimes = az(
        "functionapp", "list-flexconsumption-runtimes", "--location", location, "--runtime", "python", *where
    )
    versions = sorted({str(each["version"]) for each in runtimes})
    if python not in versions:
        fail(
            f"{location} offers Flex Consumption with Python {', '.join(versions)}, not with {python}, which "
            "the app is built for: `azd env set AZURE_LOCATION …` chooses another region."
        )
    if os.environ.get("EVERSCORE_PRIVATE_NETWORK", "").lower() == "true":
        query = ("--query", "registrationState")
        if az("provider", "show", "--namespace", "Microsoft.App", *query, *where) != "Registered":
            fail(
                "A function app in a virtual network needs the resource provider Microsoft.App, which this "
                "subscription does not have yet: `az provider register --namespace Microsoft.App --wait`."
            )
    print(f"{location} offers Flex Consumption with Python {python}.", file=sys.stderr)


if __name__ == "__main__":
    main()
