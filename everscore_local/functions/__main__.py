"""``python -m everscore_local.functions``: the command line of the host."""

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from .app_settings import AppSettings
from .console import configure
from .errors import ConfigurationError, WorkerStartError
from .host_json import load_host_json
from .options import DEFAULT_LEASE_SECONDS, Options
from .worker_client import WorkerClient

if TYPE_CHECKING:
    from .host import Host

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m everscore_local.functions",
        description="Runs a Python v2 function app: Event Hubs, queue, timer and HTTP triggers.",
    )
    parser.add_argument("--app", type=Path, default=Path(), help="folder of the app (host.json)")
    parser.add_argument("--port", type=int, default=7071, help="port of the HTTP side; 0 takes a free one")
    parser.add_argument(
        "--settings", type=Path, help="settings file in place of the app's local.settings.json"
    )
    parser.add_argument("--python", default=sys.executable, help="interpreter of the app's environment")
    parser.add_argument("--log-level", choices=sorted(_LEVELS), default="info")
    parser.add_argument(
        "--verbose", action="store_true", help="a line per invocation, stack traces, SDK logs"
    )
    parser.add_argument(
        "--grace-seconds",
        type=float,
        default=30.0,
        help="how long running invocations may go on after SIGTERM",
    )
    parser.add_argument(
        "--queue-lease-seconds",
        type=int,
        default=DEFAULT_LEASE_SECONDS,
        help="for tests only: lease of received queue messages (the real host always takes ten minutes)",
    )
    return parser.parse_args(argv)


async def _run(arguments: argparse.Namespace) -> None:
    app_dir = arguments.app.resolve()
    host_json = load_host_json(app_dir)
    if arguments.verbose:
        configure({}, logging.DEBUG)
    else:
        configure(host_json.log_levels, _LEVELS[arguments.log_level])
    settings = AppSettings.load(app_dir, arguments.settings, os.environ)
    options = Options(
        app_dir=app_dir,
        port=arguments.port,
        python=arguments.python,
        grace_seconds=arguments.grace_seconds,
        lease_seconds=arguments.queue_lease_seconds,
        verbose=arguments.verbose,
    )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, _interrupted, stop)
    worker = WorkerClient.of_app(
        options.python,
        app_dir,
        settings.as_environment(),
        host_json.function_timeout,
        verbose=options.verbose,
    )
    opening = asyncio.create_task(worker.open())
    host: Host | None = None
    try:
        # The worker loads the app while this process loads the SDKs: half the time to start.
        host = (await asyncio.to_thread(_host_class))(options, settings, host_json, worker)
        await host.start(await opening)
        names = [function.name for function in host.functions]
        print(json.dumps({"ready": "functions", "port": host.port, "functions": names}), flush=True)  # noqa: T201
        await stop.wait()
    finally:
        await asyncio.wait([opening])
        await (host.stop() if host is not None else worker.close())


def _interrupted(stop: asyncio.Event) -> None:
    """Drain on the first Ctrl-C; whoever presses it again does not want to wait."""
    if stop.is_set():
        os._exit(130)
    stop.set()


def _host_class() -> "type[Host]":
    from .host import Host  # noqa: PLC0415 - loads the Azure SDKs, see its caller

    return Host


def main(argv: list[str] | None = None) -> int:
    """Run the host until SIGTERM or SIGINT; return the exit code."""
    try:
        asyncio.run(_run(_arguments(argv)))
    except ConfigurationError as error:
        print(error, file=sys.stderr)  # noqa: T201 - a sentence for the user
        return 2
    except WorkerStartError as error:
        advice = "(--verbose shows where)"
        print(f"The function app cannot be loaded: {error} {advice}", file=sys.stderr)  # noqa: T201 - likewise
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
