"""Where the project is, its settings, and whether they lead to a local stack.

Settings are those of the app: the ``Values`` of local.settings.json, with environment variables winning.
Where a stack of the state folder runs on ports of its own, its connections and names stand in for those of
the file. With ``--env azd`` they are those of a deployment.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from everscore.config.checked_json import utf8_text
from everscore.config.settings import Settings, load_settings
from everscore_cli import environments
from everscore_cli.errors import CliError
from everscore_local.endpoints import Names
from everscore_local.stack import Stack

SETTINGS = "local.settings.json"
EXAMPLE = "local.settings.example.json"
STATE = "EVERSCORE_STATE"


def app_folder() -> Path:
    """The folder of the function app: the working folder or one above it, else the one this code is in.

    Raises:
        CliError: none of them holds an app.
    """
    here = Path.cwd()
    for folder in (here, *here.parents, Path(__file__).resolve().parents[1]):
        if (folder / "host.json").is_file():
            return folder
    raise CliError(f"There is no function app in {here} (a folder with host.json): go to it first.")


def state_folder() -> Path:
    """The folder of the local stack's state: EVERSCORE_STATE, or `.everscore` in the app's folder."""
    given = os.environ.get(STATE)
    return Path(given).resolve() if given else app_folder() / ".everscore"


def ensure_local_settings(app: Path) -> bool:
    """Copy local.settings.json from the example where it is missing; an existing one is never touched.

    Returns:
        whether it was copied.
    """
    if (app / SETTINGS).exists() or not (app / EXAMPLE).is_file():
        return False
    shutil.copyfile(app / EXAMPLE, app / SETTINGS)
    return True


def local_values(path: Path) -> dict[str, str]:
    """The ``Values`` of a settings file; none where there is no file.

    Raises:
        CliError: the file is not what the Functions tools expect.
    """
    try:
        content = json.loads(utf8_text(path.read_bytes()))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise CliError(f"{path} is not JSON: {error}.") from error
    values = content.get("Values", {}) if isinstance(content, dict) else None
    if not isinstance(values, dict):
        raise CliError(f'{path} has no object "Values", which the settings stand in.')
    if others := [name for name, value in values.items() if not isinstance(value, str)]:
        raise CliError(f'{path}: a setting is a text, as in "5"; {", ".join(others)} is none.')
    return values


def local_variables(app: Path) -> dict[str, str]:
    """The settings as texts, unchecked: those of the file, with environment variables winning.

    Raises:
        CliError: the file cannot be read.
    """
    given = {name: value for name, value in os.environ.items() if value != ""}
    return {**local_values(app / SETTINGS), **given}


def find_stack(state: Path, app: Path) -> Stack | None:
    """The local stack of this state folder, or None: nothing was started there.

    Raises:
        CliError: it runs another app, so it is somebody else's to stop, empty or send to.
        StackError: the folder's stack.json cannot be read.
    """
    stack = Stack.find(state)
    if stack is not None and stack.state.app != app.resolve():
        raise CliError(
            f"The stack in {state} runs the app in {stack.state.app}, not the one in {app}: work on it from "
            f"there, or set {STATE} to another folder."
        )
    return stack


@dataclass(frozen=True, slots=True)
class Target:
    """What commands talk to.

    Attributes:
        app: the folder of the function app.
        state: the state folder.
        stack: the local stack that was started there, or None.
        variables: the settings as texts.
        settings: the same, checked.
    """

    app: Path
    state: Path
    stack: Stack | None
    variables: Mapping[str, str]
    settings: Settings


def target() -> Target:
    """Read the settings and find the local stack.

    Raises:
        CliError: the settings file cannot be read, or there is no such environment.
        SettingError: a setting is missing or wrong.
    """
    app = app_folder()
    if env := environments.chosen():
        deployed = environments.variables(app, env)
        return Target(app, state_folder(), None, deployed, load_settings(deployed))
    ensure_local_settings(app)
    state = state_folder()
    stack = find_stack(state, app)
    values = local_values(app / SETTINGS)
    if stack is not None and stack.state.own_ports:
        values = {**values, **stack.settings()}
    variables = {**values, **{name: value for name, value in os.environ.items() if value != ""}}
    return Target(app, state, stack, variables, load_settings(variables))


def names(variables: Mapping[str, str]) -> Names:
    """The names that the settings give to hub, containers and queue, else the usual ones."""
    default = Names()
    return Names(
        hub=variables.get("EVENTHUB_NAME", default.hub),
        group=variables.get("EVENTHUB_CONSUMER_GROUP", default.group),
        database=variables.get("COSMOS_DATABASE", default.database),
        container=variables.get("COSMOS_CONTAINER", default.container),
        queue=variables.get("RETRY_QUEUE", default.queue),
        dead_letters=variables.get("DEADLETTER_CONTAINER", default.dead_letters),
        claim_checks=variables.get("CLAIMCHECK_CONTAINER", default.claim_checks),
    )
