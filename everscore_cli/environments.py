"""Settings of a deployment, from the environment that the Azure Developer CLI (azd) keeps beside the app.

Source of the layout: learn.microsoft.com/azure/developer/azure-developer-cli/manage-environment-variables:
``.azure/config.json`` names the default environment, ``.azure/<name>/.env`` holds its variables.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values

from everscore_cli.errors import CliError

VARIABLE = "EVERSCORE_ENV"
AZD = "azd"
_FOLDER = ".azure"
# Keys lead to the local stack; who asks for a deployment means it, by their own identity.
_KEYS = ("EVENTHUB", "COSMOS", "STORAGE", "AzureWebJobsStorage")
_IDENTITIES = "__clientId"


def chosen() -> str | None:
    """The environment that was asked for by ``--env`` or EVERSCORE_ENV, or None: the local settings."""
    return os.environ.get(VARIABLE) or None


def variables(app: Path, env: str) -> dict[str, str]:
    """The settings of a deployment as texts: the process's variables, and over them the environment's.

    Args:
        app: folder of the app.
        env: ``azd``, for azd's default environment, or ``azd:NAME``.

    Raises:
        CliError: there is no such environment, or nothing was deployed from it yet.
    """
    kind, _, name = env.partition(":")
    if kind != AZD:
        raise CliError(f"--env {env} is no environment: give azd, or azd:NAME for another than its default.")
    name = name or _default(app)
    file = app / _FOLDER / name / ".env"
    if not file.is_file():
        raise CliError(f"azd has no environment {name} for this app: `azd env list` shows what there is.")
    values = {key: text for key, text in dotenv_values(file, interpolate=False).items() if text}
    if "EVENTHUB__fullyQualifiedNamespace" not in values:
        raise CliError(f"Nothing was deployed from the azd environment {name} yet: `azd up` does that.")
    return {**_without_local(os.environ), **_without_local(values)}


def _without_local(values: Mapping[str, str]) -> dict[str, str]:
    return {
        name: text for name, text in values.items() if name not in _KEYS and not name.endswith(_IDENTITIES)
    }


def _default(app: Path) -> str:
    try:
        name = json.loads((app / _FOLDER / "config.json").read_text(encoding="utf-8"))["defaultEnvironment"]
    except (OSError, ValueError, KeyError, TypeError):
        raise CliError("azd has no default environment for this app: `azd env select` chooses one.") from None
    return str(name)
