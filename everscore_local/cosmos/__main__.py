"""``python -m everscore_local.cosmos``: starts the stand-in, and stops it on SIGTERM or SIGINT."""

import argparse
import asyncio
import json
import logging
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from aiohttp import web

from .auth import EMULATOR_KEY, Signatures
from .charges import Throttle
from .control import Control
from .engine import Engine, find_node_modules
from .errors import ServiceError, UserError
from .faults import Faults
from .gateway import Gateway
from .journal import Journal
from .listening import listen, start_server
from .service import Service
from .store import Store


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(prog="python -m everscore_local.cosmos", description=__doc__)
    parser.add_argument("--port", type=int, default=8081, help="port of the account; 0 takes a free one")
    parser.add_argument(
        "--control-port", type=int, default=8082, help="port for throttling, faults and state"
    )
    parser.add_argument("--data", type=Path, required=True, help="folder that keeps the documents")
    parser.add_argument("--database", help="database to create at start")
    parser.add_argument("--container", help="container to create in it")
    parser.add_argument("--partition-key", default="/pk", help="its partition key path (default /pk)")
    parser.add_argument(
        "--index",
        action="append",
        default=[],
        metavar="PATH",
        help="a path that is indexed, like /time/?, and no other then is; may be given again (default: all)",
    )
    parser.add_argument(
        "--default-ttl",
        type=int,
        help="seconds that an item lives; -1: for ever unless it says otherwise (default: none expires)",
    )
    parser.add_argument(
        "--rus", type=float, help="RU/s granted to each container; without it there is no limit"
    )
    parser.add_argument(
        "--endpoint",
        metavar="URL",
        help="address that the account's metadata names, where SDKs go next (default: where they asked)",
    )
    parser.add_argument("--key", default=EMULATOR_KEY, help="account key (default: the emulator's)")
    parser.add_argument("--node", default="node", help="the Node executable")
    parser.add_argument(
        "--node-modules", type=Path, help="folder with the npm packages; found by itself otherwise"
    )
    parser.add_argument("--log-level", default="WARNING", choices=["DEBUG", "INFO", "WARNING", "ERROR"])
    options = parser.parse_args(arguments)
    if options.container and not options.database:
        parser.error("--container needs --database")
    if options.default_ttl is not None and (options.default_ttl < -1 or options.default_ttl == 0):
        parser.error("--default-ttl must be -1 or above 0")
    if not all(path.startswith("/") and path.endswith(("/?", "/*")) for path in options.index):
        parser.error("--index must be a path that ends in /? or /*, like /time/?")
    if options.endpoint is not None and not options.endpoint.startswith(("http://", "https://")):
        parser.error("--endpoint must be a URL, like http://127.0.0.1:8081/")
    if options.rus is not None and options.rus <= 0:
        parser.error("--rus must be above 0")
    return options


def ensure(service: Service, options: argparse.Namespace) -> None:
    """Create the database and the container where they are missing.

    Raises:
        UserError: Where the container exists with another partition key, or a name is not allowed.
    """
    database, container, partition_key = options.database, options.container, options.partition_key
    if database is None:
        return
    wanted: dict[str, Any] = {}
    if options.index:
        paths = {"includedPaths": options.index, "excludedPaths": ["/*"]}
        wanted["indexingPolicy"] = {name: [{"path": path} for path in given] for name, given in paths.items()}
    if options.default_ttl is not None:
        wanted["defaultTtl"] = options.default_ttl
    try:
        if database not in service.store.databases:
            service.metadata.create_database({"id": database})
        if container is None:
            return
        known = service.store.databases[database].containers.get(container)
        if known is None:
            key = {"paths": [partition_key], "kind": "Hash", "version": 2}
            service.metadata.create_container(database, {"id": container, "partitionKey": key, **wanted})
            return
        paths = known.definition["partitionKey"]["paths"]
        if paths == [partition_key]:
            service.metadata.change_container(database, container, wanted)
            return
    except ServiceError as error:
        raise UserError(f"Cannot create {database}/{container}: {error.message}") from error
    raise UserError(
        f"The container {container} exists with the partition key {', '.join(paths)}, not"
        f" {partition_key}; empty the data folder or give that key."
    )


async def serve(options: argparse.Namespace) -> None:
    """Run until a signal arrives.

    Raises:
        UserError: For a mistake in the options, or a port or folder in use.
    """
    signatures = Signatures(options.key)
    node_modules = find_node_modules(options.node_modules)
    store = Store()
    engine = Engine(node_modules, store, options.node)
    journal = Journal(options.data)
    listeners: list[socket.socket] = []
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    runners: list[web.ServerRunner] = []
    try:
        listeners.extend(listen(port) for port in (options.port, options.control_port))
        journal.load(store)
        await engine.start()
        service = Service(store, journal, engine, options.endpoint)
        ensure(service, options)
        gateway = Gateway(service, signatures, Throttle(options.rus), Faults())
        control = Control(gateway, engine)
        for listener, handler in zip(listeners, (gateway.handle, control.handle), strict=True):
            runners.append(await start_server(listener, handler))
        print(  # noqa: T201  # the line that tells whoever started this process
            json.dumps(
                {
                    "ready": "cosmos",
                    "port": listeners[0].getsockname()[1],
                    "controlPort": listeners[1].getsockname()[1],
                }
            ),
            flush=True,
        )
        await stop.wait()
    finally:
        for runner in runners:
            await runner.cleanup()
        await engine.stop()
        journal.close()
        for listener in listeners:
            listener.close()


def main() -> int:
    """Run the stand-in; return the exit code."""
    options = parse_arguments()
    logging.basicConfig(
        level=options.log_level, stream=sys.stderr, format="%(asctime)s cosmos %(levelname)s %(message)s"
    )
    try:
        asyncio.run(serve(options))
    except UserError as error:
        print(error, file=sys.stderr)  # noqa: T201  # one sentence for the person at the terminal
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
