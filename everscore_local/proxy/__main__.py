"""``python -m everscore_local.proxy --route NAME:PORT:TARGET_PORT … --control-port P``."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys

import msgspec
from aiohttp import web

from everscore_local.proxy.route import Fault, Route

HOST = "127.0.0.1"


def main(arguments: list[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m everscore_local.proxy", description=__doc__)
    parser.add_argument(
        "--route",
        action="append",
        required=True,
        metavar="NAME:PORT:TARGET_PORT",
        help="listen on PORT (0: a free one) and forward to TARGET_PORT of this machine",
    )
    parser.add_argument("--control-port", type=int, default=0)
    options = parser.parse_args(arguments)
    try:
        routes = [_parse(text) for text in options.route]
    except ValueError as error:
        parser.error(str(error))
    try:
        asyncio.run(_run(routes, options.control_port))
    except OSError as error:
        print(f"The proxy cannot listen: {error.strerror}; choose another port.", file=sys.stderr)  # noqa: T201
        return 2
    return 0


def _parse(text: str) -> tuple[Route, int]:
    name, _, ports = text.partition(":")
    port, _, target = ports.partition(":")
    if not name or not port.isdigit() or not target.isdigit():
        raise ValueError(f"--route {text}: expected NAME:PORT:TARGET_PORT")
    return Route(name, (HOST, int(target))), int(port)


async def _run(routes: list[tuple[Route, int]], control_port: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    for route, port in routes:
        await route.start(HOST, port)
    by_name = {route.name: route for route, _ in routes}
    runner = web.ServerRunner(web.Server(_control(by_name)))
    await runner.setup()
    site = web.TCPSite(runner, HOST, control_port)
    await site.start()
    ports = {name: route.port for name, route in by_name.items()}
    address = runner.addresses[0]
    print(json.dumps({"ready": "proxy", "ports": ports, "controlPort": address[1]}), flush=True)  # noqa: T201
    try:
        await stop.wait()
    finally:
        for route in by_name.values():
            await route.stop()
        await runner.cleanup()


def _control(routes: dict[str, Route]):  # type: ignore[no-untyped-def]  # noqa: ANN202 - aiohttp's handler type
    """GET /: state of all routes. PUT /NAME: set a fault. DELETE /NAME: end it."""

    async def handle(request: web.BaseRequest) -> web.Response:
        name = request.path.strip("/")
        if not name and request.method == "GET":
            return web.json_response({name: _state(route) for name, route in routes.items()})
        route = routes.get(name)
        if route is None:
            return web.json_response(
                {"error": f"there is no route {name!r}; there are {list(routes)}"}, status=404
            )
        if request.method == "DELETE":
            route.set(None)
        elif request.method == "PUT":
            try:
                route.set(msgspec.json.decode(await request.read(), type=Fault))
            except msgspec.MsgspecError as error:
                return web.json_response({"error": str(error)}, status=400)
        return web.json_response(_state(route))

    return handle


def _state(route: Route) -> dict[str, object]:
    fault = msgspec.to_builtins(route.fault) if route.fault else None
    return {"port": route.port, "connections": route.connections, "faulted": route.faulted, "fault": fault}


if __name__ == "__main__":
    sys.exit(main())
