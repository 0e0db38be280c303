"""For those who have Core Tools or Docker: the stand-ins alone, and what a deployment creates."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated

import typer

from everscore.config.connections import on_loopback, parts_of
from everscore.config.settings import Settings
from everscore_cli import project
from everscore_cli.commands.stack import FreePorts, begin, find_or_make, show
from everscore_cli.console import escape, out, print_json, steps
from everscore_cli.errors import CliError
from everscore_local.provision import provision_cosmos, provision_storage
from everscore_local.stack import SERVICES, Stack


def services(
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Leave them running; `everscore down` stops them.")
    ] = False,
    free_ports: FreePorts = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document instead of a table.")
    ] = False,
) -> None:
    """Start the stand-ins without the Functions host, for `func start`; Ctrl-C stops them."""
    stack = find_or_make(
        project.app_folder(), project.state_folder(), free_ports=free_ports, dies_with_parent=not detach
    )
    if any(stack.alive(part) for part in stack.state.running):
        raise CliError("The local stack is running already: stop it with `everscore down` first.")
    begin(stack, SERVICES)
    try:
        show(stack, as_json=as_json)
        if not as_json:
            out.print("Now run [bold]func start[/] in the app's folder, in another terminal.")
            if free_ports:
                out.print("It needs the settings of these ports in its environment: `--json` prints them.")
        if not detach:
            _wait(stack)
    except BaseException:
        stack.stop()
        raise
    if not detach:
        stack.stop()


def provision(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")] = False,
) -> None:
    """Create queues, containers and database on emulators of this machine, named as the settings say.

    Also tries out whether the store keeps what a promise rests on, and says it where it does not.
    """
    target = project.target()
    storage = target.settings.storage_connection()
    cosmos = target.settings.cosmos_connection()
    for connection, part in ((storage, "blobendpoint"), (cosmos, "accountendpoint")):
        if not on_loopback(parts_of(connection.connection_string).get(part, "")):
            raise CliError(
                f"{connection.name} does not lead to this machine: in Azure the deployment creates it."
            )
    with steps() as progress:
        progress.add_task("creating")
        names = project.names(target.variables)
        created = provision_storage(storage.connection_string, names)
        created += provision_cosmos(cosmos.connection_string, names)
        broken = asyncio.run(_broken_promise(target.settings))
    if as_json:
        print_json({"created": created, "brokenPromise": broken})
        return
    out.print(f"Created: {', '.join(created)}." if created else "Everything was there already.")
    if broken is not None:
        out.print(f"[yellow]{escape(broken)}[/]")


async def _broken_promise(settings: Settings) -> str | None:
    # The SDK is slow to import, and most commands of this module need none.
    from everscore_cli.clients.batch_conditions import broken_promise  # noqa: PLC0415
    from everscore_cli.clients.store import documents  # noqa: PLC0415

    async with documents(settings) as container:
        return await broken_promise(container)


def _wait(stack: Stack) -> None:
    """Wait for Ctrl-C, or until a part has died.

    Raises:
        CliError: a part died.
    """
    out.print("Ctrl-C stops them.")
    try:
        while True:
            time.sleep(1)
            for part in SERVICES:
                if not stack.alive(part):
                    raise CliError(f"{part} has died: see {stack.log(part)}.")
    except KeyboardInterrupt:
        return
