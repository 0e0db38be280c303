"""Run the local Event Hubs server: `python -m everscore_local.eventhubs --data DIR --hub events:4`."""

import argparse
import asyncio
import errno
import json
import logging
import signal
import sys
from pathlib import Path

from .hub import HubDefinition, HubError
from .log import Limits
from .segment import DamagedSegmentError
from .server import KEY, KEY_NAME, Options, Server


def _hub(text: str) -> HubDefinition:
    try:
        return HubDefinition.parse(text)
    except HubError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _positive(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m everscore_local.eventhubs",
        description="A local Event Hubs server, on 127.0.0.1 only.",
    )
    parser.add_argument(
        "--port", type=int, default=5672, help="port to listen on; 0 is a free one (default: 5672)"
    )
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of all that it keeps")
    parser.add_argument(
        "--hub",
        type=_hub,
        action="append",
        required=True,
        dest="hubs",
        metavar="NAME:PARTITIONS[:GROUP,…]",
        help="a hub, like events:4:everscore; $Default is always a group; may be given again",
    )
    parser.add_argument(
        "--retention-hours", type=_positive, default=24, help="how long events are kept (default: 24)"
    )
    parser.add_argument(
        "--retention-mb",
        type=_positive,
        default=1024,
        help="MB that a partition keeps at most (default: 1024)",
    )
    parser.add_argument("--key-name", default=KEY_NAME, help=f"name of the access key (default: {KEY_NAME})")
    parser.add_argument("--key", default=KEY, help="value of the access key (default: the emulator's)")
    parser.add_argument("--log-level", default="INFO", choices=["DEBUG", "INFO", "WARNING", "ERROR"])
    return parser


async def _serve(options: Options) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with Server(options) as server:
        ready = {"ready": "eventhubs", "port": server.port, "hubs": [hub.name for hub in options.hubs]}
        sys.stdout.write(json.dumps(ready) + "\n")
        sys.stdout.flush()
        await stop.wait()


def main() -> int:
    """Serve until SIGINT or SIGTERM; gives the exit code."""
    arguments = _parser().parse_args()
    logging.basicConfig(
        level=arguments.log_level, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    options = Options(
        data=arguments.data,
        hubs=tuple(arguments.hubs),
        port=arguments.port,
        keys={arguments.key_name: arguments.key},
        limits=Limits(
            retention_ms=int(arguments.retention_hours * 3_600_000),
            retention_bytes=int(arguments.retention_mb * 1_000_000),
        ),
    )
    try:
        asyncio.run(_serve(options))
    except (HubError, DamagedSegmentError) as error:
        return _fail(str(error))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return _fail(
                f"Port {options.port} is in use: stop what listens there (another stack, an AMQP broker?), "
                f"or choose another --port (0 takes a free one)."
            )
        return _fail(f"Could not start: {error.strerror or error}: {error.filename or options.data}")
    return 0


def _fail(sentence: str) -> int:
    sys.stderr.write(sentence + "\n")
    return 2


if __name__ == "__main__":
    sys.exit(main())
