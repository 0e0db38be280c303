"""Looks at an app before it is started: a mistake is told at once, not after events have come in."""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path

from everscore.config.settings import load_settings, setting_names
from everscore.decode.own_decoder import Hook, load_hook
from everscore.event.stream import Stream, load_stream
from everscore.failures import Failure
from everscore.score.used_models import LoadedModels
from everscore_cli.errors import CliError
from everscore_local.azurite import AzuriteError, find_node, find_script

# Read by the host or by libraries, which have more names than the app knows.
_OF_OTHERS = ("AzureWebJobs", "APPLICATIONINSIGHTS_", "OTEL_", "FUNCTIONS_", "WEBSITE_")
# Of the connections of triggers the host reads more than the app does. Source: learn.microsoft.com/azure/
# azure-functions/functions-reference, "Common properties for Identity-based connections", and the pages of
# the Event Hubs and queue triggers.
_TRIGGERS = ("EVENTHUB", "STORAGE")
_OF_CONNECTIONS = (
    "accountName", "blobServiceUri", "clientId", "clientSecret", "credential", "fullyQualifiedNamespace",
    "managedIdentityResourceId", "queueServiceUri", "serviceUri", "tableServiceUri", "tenantId",
)  # fmt: skip
# The share of letters in common from which on a name is taken to be meant for another.
_ALIKE = 0.85


def check_app(app: Path) -> tuple[Stream, LoadedModels]:
    """Load what the app will load: stream.json and its models.

    Raises:
        CliError: a model is missing or unreadable.
        ManifestError: stream.json or a model's manifest is wrong.
    """
    stream = load_stream(app / "stream.json")
    try:
        return stream, LoadedModels.load(stream, app / "models")
    except Failure as failure:
        names = " and ".join(repr(each.name) for each in stream.models)
        what = "model" if len(stream.models) == 1 else "models"
        raise CliError(f"The {what} {names} cannot be used: {failure.detail}") from failure


def check_settings(app: Path, variables: Mapping[str, str]) -> None:
    """Check the settings that the app will have.

    Raises:
        SettingError: one is missing or wrong; every mistake is told.
    """
    load_settings(variables)
    check_decoder(app, variables)


def check_decoder(app: Path, variables: Mapping[str, str]) -> Hook | None:
    """The own decoder that the settings name, or None.

    Raises:
        SettingError: there is no such function.
    """
    setting = variables.get("DECODER")
    if not setting:
        return None
    if str(app) not in sys.path:
        sys.path.insert(0, str(app))  # where the app finds it
    return load_hook(setting)


def misspelt(names: Iterable[str]) -> dict[str, str]:
    """Names that neither app nor platform reads but nearly one, with the setting that was probably meant."""
    known = {name.upper(): name for name in setting_names()}
    platform = files("everscore.config").joinpath("platform_settings.json").read_text(encoding="utf-8")
    theirs = {
        *json.loads(platform),
        *(f"{trigger}__{part}" for trigger in _TRIGGERS for part in _OF_CONNECTIONS),
    }
    # The host knows no case; where the app reads a name as well, it does.
    theirs = {name.upper() for name in theirs} - known.keys()
    found: dict[str, str] = {}
    for name in names:
        if name in known.values() or name.upper() in theirs or name.startswith(_OF_OTHERS):
            continue
        for meant in difflib.get_close_matches(name.upper(), known, 1, _ALIKE):
            found[name] = known[meant]
    return found


def check_node() -> None:
    """Look for Node and its packages, which two of the stand-ins run on.

    Raises:
        CliError: one of them is missing, or Node is too old.
    """
    try:
        find_node(find_script())
    except AzuriteError as error:
        raise CliError(f"{error} `make setup` brings what the local stack needs.") from error
