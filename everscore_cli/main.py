"""The ``everscore`` command: finds the module of a sub-command and runs it.

A sub-command is one line in `COMMANDS`: a function, or a typer app with sub-commands of its own. Its module
is imported when it is called, since the SDKs that some of them need take longer to import than others to run.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
from typing import Annotated

import typer

from everscore_cli import environments
from everscore_cli.console import err, escape
from everscore_cli.errors import CliError
from everscore_cli.sentences import sentence
from everscore_local.loopback import without_proxy

COMMANDS = {
    "run": "everscore_cli.commands.run:run",
    "up": "everscore_cli.commands.stack:up",
    "down": "everscore_cli.commands.stack:down",
    "status": "everscore_cli.commands.status:status",
    "logs": "everscore_cli.commands.logs:logs",
    "restart": "everscore_cli.commands.stack:restart",
    "reset": "everscore_cli.commands.stack:reset",
    "services": "everscore_cli.commands.services:services",
    "provision": "everscore_cli.commands.services:provision",
    "send": "everscore_cli.commands.send:send",
    "score": "everscore_cli.commands.score:score",
    "query": "everscore_cli.commands.query:query",
    "deadletters": "everscore_cli.commands.deadletters:app",
    "replay": "everscore_cli.commands.replay:replay",
    "model": "everscore_cli.commands.model:app",
    "partition": "everscore_cli.commands.partition:app",
}


# Those that are about the local stack alone.
LOCAL = frozenset({"run", "up", "down", "logs", "restart", "reset", "services", "provision"})


def build(names: list[str]) -> typer.Typer:
    """The command with these sub-commands, their modules imported."""
    app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

    # A callback keeps the name of a sub-command in the usage where there is but one.
    # --env is taken out before (see _environment): it may stand anywhere, and here for the help alone.
    @app.callback()
    def everscore(
        env: Annotated[
            str | None,
            typer.Option(help="azd or azd:NAME: work on what azd deployed, by your own identity."),
        ] = None,
    ) -> None:
        """Scores a stream of events with an ONNX model, stores every result, and never loses an event."""
        del env

    for name in names:
        module, _, attribute = COMMANDS[name].partition(":")
        found = getattr(importlib.import_module(module), attribute)
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=name)
        else:
            app.command(name)(found)
    return app


def main(arguments: list[str] | None = None) -> None:
    """Run the command and end the process with its exit code.

    0: done; 1: not done, or done with another result than hoped for; 2: wrong usage; 130: Ctrl-C.
    """
    # What the SDKs log on the way to an error says the same as the error, at greater length.
    logging.getLogger("azure").setLevel(logging.CRITICAL)
    logging.getLogger("uamqp").setLevel(logging.CRITICAL)
    os.environ.update(without_proxy(os.environ))
    sys.exit(_run(sys.argv[1:] if arguments is None else arguments))


def _run(arguments: list[str]) -> int:
    arguments, env = _environment(arguments)
    wanted = [name for name in arguments[:1] if name in COMMANDS]
    try:
        if env is not None:
            _choose(env, wanted)
        build(wanted or list(COMMANDS))(arguments, prog_name="everscore")
    except SystemExit as leave:
        return leave.code if isinstance(leave.code, int) else 1
    except BrokenPipeError:
        # The reader of our output went away, as `head` does; nothing more can be said.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        text = sentence(error)
        if text is None:
            raise
        err.print(f"[red]error[/] {escape(text)}", soft_wrap=True, highlight=False)
        return 1
    return 0


def _choose(env: str, wanted: list[str]) -> None:
    if wanted and wanted[0] in LOCAL:
        raise CliError(f"`everscore {wanted[0]}` is about the local stack: it takes no --env.")
    os.environ[environments.VARIABLE] = env


def _environment(arguments: list[str]) -> tuple[list[str], str | None]:
    """The arguments without ``--env VALUE``, wherever it stands, and the value."""
    rest: list[str] = []
    env: str | None = None
    each = iter(arguments)
    for argument in each:
        if argument == "--":
            return [*rest, argument, *each], env
        name, has_value, value = argument.partition("=")
        if name != "--env":
            rest.append(argument)
        else:
            env = value if has_value else next(each, "")
    return rest, env


if __name__ == "__main__":
    main()
