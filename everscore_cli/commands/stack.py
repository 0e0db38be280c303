"""Start, stop, restart and empty the local stack."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from everscore.config.connections import parts_of
from everscore_cli import project
from everscore_cli.app_checks import check_app, check_node, check_settings, misspelt
from everscore_cli.console import err, escape, out, print_json, steps
from everscore_cli.errors import CliError
from everscore_local import interrupts
from everscore_local.endpoints import Ports
from everscore_local.stack import HOST, PARTS, Stack, StackOptions

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of a table.")]
FreePorts = Annotated[
    bool, typer.Option("--free-ports", help="Listen on whatever ports are free, not on the usual ones.")
]


def up(free_ports: FreePorts = False, as_json: Json = False) -> None:
    """Start the local stack and leave it running: Event Hubs, Cosmos DB, Storage, and the Functions host."""
    app, state = project.app_folder(), project.state_folder()
    stack = find_or_make(app, state, free_ports=free_ports)
    begin(stack, PARTS)
    show(stack, as_json=as_json)


def down(as_json: Json = False) -> None:
    """Stop the local stack; what it holds is kept for the next `everscore up`."""
    stack = project.find_stack(project.state_folder(), project.app_folder())
    running = [part for part in PARTS if stack is not None and stack.alive(part)]
    if stack is not None:
        with steps() as progress:
            progress.add_task("stopping")
            stack.stop()
    if as_json:
        print_json({"stopped": running})
    else:
        out.print(f"Stopped: {', '.join(running)}." if running else "Nothing was running.")


def restart(
    part: Annotated[str, typer.Argument(help=f"Which part: {', '.join(PARTS)}.")] = HOST,
) -> None:
    """Restart the Functions host (it then loads changed code, models and settings) or another part."""
    if part not in PARTS:
        raise CliError(f"There is no part {part!r}; the parts are {', '.join(PARTS)}.")
    stack = project.find_stack(project.state_folder(), project.app_folder())
    if stack is None:
        raise CliError("The local stack is not running: start it with `everscore up`.")
    if part == HOST:  # a broken app leaves the present one running
        _check(stack)
    interrupts.end_like_ctrl_c()
    with steps() as progress:
        progress.add_task(f"restarting {part}")
        stack.restart(part)
    out.print(f"{part} runs again.")


def reset(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Stop the local stack and empty it: all events, documents, queues, dead letters and logs."""
    app, state = project.app_folder(), project.state_folder()
    # Before the question: somebody else's stack is not offered.
    stack = project.find_stack(state, app)
    if not yes and not typer.confirm(f"Remove everything that the local stack holds in {state}?"):
        out.print("Nothing was removed.")
        raise typer.Exit(1)
    if stack is not None:
        stack.stop()
    Stack.new(StackOptions(state=state, app=app)).empty()
    out.print(f"{state} is empty.")


def find_or_make(app: Path, state: Path, *, free_ports: bool, dies_with_parent: bool = False) -> Stack:
    """The stack of this state folder as it was started, else a new one by the settings."""
    if project.ensure_local_settings(app):
        err.print(f"{project.SETTINGS} was copied from {project.EXAMPLE}.")
    stack = project.find_stack(state, app)
    if stack is not None and any(stack.alive(part) for part in PARTS):
        return stack
    if stack is not None:  # it died, or the machine was restarted: end what it may have left
        stack.stop()
    values = project.local_values(app / project.SETTINGS)
    names = project.names(values)
    if not free_ports:
        warn_of_strangers(values, Ports())
    return Stack.new(
        StackOptions(
            state=state,
            app=app,
            ports=Ports.free() if free_ports else Ports(),
            names=names,
            dies_with_parent=dies_with_parent,
        )
    )


def begin(stack: Stack, parts: tuple[str, ...]) -> None:
    """Start what does not run yet, with a word about each step."""
    check_node()
    if HOST in parts:
        _check(stack)
    interrupts.end_like_ctrl_c()
    with steps() as progress:
        task = progress.add_task("starting")
        stack.start(parts, on_step=lambda step: progress.update(task, description=step))


def _check(stack: Stack) -> None:
    """Look at what the host will load, and at its settings, before it is started."""
    app = stack.state.app
    own = stack.settings() if stack.state.own_ports else {}
    for name, meant in misspelt(project.local_values(app / project.SETTINGS)).items():
        err.print(
            f"[yellow]note[/] {escape(name)} in {project.SETTINGS} is no setting of the app: "
            f"is {meant} meant?",
            soft_wrap=True,
        )
    check_settings(app, {**project.local_variables(app), **own})
    check_app(app)


def warn_of_strangers(values: Mapping[str, str], ports: Ports) -> None:
    """Say so where local.settings.json sends the app elsewhere than to the stack that is about to start."""
    expected = {
        "EVENTHUB": ("endpoint", ports.eventhubs),
        "COSMOS": ("accountendpoint", ports.cosmos),
        "STORAGE": ("queueendpoint", ports.queue),
    }
    for name, (part, port) in expected.items():
        text = values.get(name, "")
        if not text or parts_of(text).get("usedevelopmentstorage", "").lower() == "true":
            continue
        endpoint = parts_of(text).get(part, "another account")
        if f":{port}" not in endpoint:
            err.print(
                f"[yellow]note[/] {name} in {project.SETTINGS} leads to {escape(endpoint)}, not here.",
                soft_wrap=True,
            )


def show(stack: Stack, *, as_json: bool) -> None:
    """What runs, and where."""
    ports = stack.ports
    places = {
        "eventhubs": f"127.0.0.1:{ports.eventhubs}",
        "cosmos": f"http://127.0.0.1:{ports.cosmos}/",
        "azurite": f"http://127.0.0.1:{ports.blob}/ (blobs), http://127.0.0.1:{ports.queue}/ (queues)",
        "functions": f"http://127.0.0.1:{ports.functions}/api/health",
    }
    running = [part for part in PARTS if stack.alive(part)]
    if as_json:
        parts = {part: {"pid": stack.state.running[part].pid, "at": places[part]} for part in running}
        print_json(
            {
                "state": str(stack.folder),
                "parts": parts,
                "ports": _ports(ports),
                "settings": stack.settings(),
            }
        )
        return
    table = Table("part", "at")
    for part in running:
        table.add_row(part, places[part])
    out.print(table)
    out.print(f"State and logs are in {stack.folder}.", highlight=False, soft_wrap=True)
    if HOST in running:
        out.print("Next: [bold]everscore send[/], [bold]everscore status[/], [bold]everscore query[/].")


def _ports(ports: Ports) -> dict[str, int]:
    return {
        "eventhubs": ports.eventhubs,
        "cosmos": ports.cosmos,
        "cosmosControl": ports.cosmos_control,
        "blob": ports.blob,
        "queue": ports.queue,
        "functions": ports.functions,
    }
