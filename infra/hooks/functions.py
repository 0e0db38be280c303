"""Ends with 1 unless Azure lists exactly the app's functions, with their triggers, within ten minutes.

A package whose build failed, or whose Python is another, lists none: the portal then shows an app that runs
and does nothing. Standard library alone, on whatever Python azd finds.
"""

from __future__ import annotations

import sys
import time

from azure_cli import az, fail, variable

TRIGGERS = {
    "score_events": "eventHubTrigger",
    "retry_events": "queueTrigger",
    "housekeeping": "timerTrigger",
    "health": "httpTrigger",
    "health_details": "httpTrigger",
}
# The host reads the package, and its roles come into force, some minutes after the deployment's end.
PATIENCE_SECONDS = 600.0
PAUSE_SECONDS = 15.0


def listed(group: str, app: str) -> dict[str, str]:
    """The trigger of each function that Azure lists."""
    answer = az("functionapp", "function", "list", "--resource-group", group, "--name", app)
    found = {}
    for function in answer:
        bindings = (function.get("config") or {}).get("bindings") or []
        triggers = [str(each.get("type")) for each in bindings if "Trigger" in str(each.get("type"))]
        found[str(function["name"]).rpartition("/")[2]] = triggers[0] if triggers else "no trigger"
    return found


def main(patience: float = PATIENCE_SECONDS, pause: float = PAUSE_SECONDS) -> None:
    """Ask until they are there."""
    group, app = variable("AZURE_RESOURCE_GROUP"), variable("EVERSCORE_FUNCTION_APP")
    deadline = time.monotonic() + patience
    while (found := listed(group, app)) != TRIGGERS:
        if time.monotonic() > deadline:
            fail(
                f"{app} should have the functions {', '.join(sorted(TRIGGERS))}; Azure lists "
                f'{", ".join(sorted(found)) or "none"}: docs/operations.md, "No functions".'
            )
        time.sleep(pause)
    print(f"{app} has its {len(found)} functions.", file=sys.stderr)


if __name__ == "__main__":
    main()
