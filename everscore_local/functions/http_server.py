"""The HTTP side of the host: the app's own routes and ``/admin``.

Keys are not asked for (authLevel is ignored), as with Core Tools. Sources: GrpcMessageConversionExtensions.cs
(ToRpcHttp: the body is there only with a Content-Length), HttpBinding.cs.
"""

import asyncio
import json
import logging
import socket
from email.utils import formatdate
from typing import Any, Protocol

from aiohttp import web

from .errors import ConfigurationError
from .executor import Executor, Outcome, Trigger, Verdict
from .functions import Function
from .routes import Route, Router, compile_route

_log = logging.getLogger("Host.Http")
# Kestrel's default limit for request bodies on the real host.
_MAX_BODY = 100 * 1024 * 1024


class Administration(Protocol):
    """What ``/admin`` asks of the host."""

    def status(self) -> dict[str, Any]:
        """Return the state of worker and listeners."""

    async def run_once(self, name: str) -> bool:
        """Run a timer function out of turn; tell whether there is one of that name."""

    def drain(self) -> None:
        """Begin drain mode: no listener takes anything more."""

    def drain_status(self) -> dict[str, Any]:
        """Return whether drain mode is on, and whether anything still runs."""


class HttpServer:
    """Serves on one port of the loopback interface."""

    def __init__(
        self,
        functions: list[Function],
        prefix: str,
        executor: Executor,
        administration: Administration,
    ) -> None:
        self._functions = functions
        self._prefix = prefix
        self._executor = executor
        self._administration = administration
        self._runner: web.AppRunner | None = None
        self._stopping = False
        http = [f for f in functions if f.trigger.type == "httpTrigger" and not f.disabled]
        self._router = Router(compile_route(function, prefix) for function in http)
        self.port = 0

    async def start(self, port: int) -> None:
        """Accept connections.

        Raises:
            ConfigurationError: the port is taken.
        """
        app = web.Application(client_max_size=_MAX_BODY)
        app.router.add_get("/", self._home)
        app.router.add_get("/admin/host/status", self._host_status)
        app.router.add_get("/admin/host/drain/status", self._drain_status)
        app.router.add_post("/admin/host/drain", self._drain)
        app.router.add_get("/admin/functions", self._list)
        app.router.add_post("/admin/functions/{name}", self._run)
        app.router.add_route("*", "/{path:.*}", self._dispatch)
        self._runner = web.AppRunner(
            app,
            access_log=None,
            handle_signals=False,
            shutdown_timeout=1.0,
            # The real host leaves a body with a Content-Encoding as it is; so the function sees it.
            auto_decompress=False,
        )
        await self._runner.setup()
        listener = _bind(port)
        await web.SockSite(self._runner, listener).start()
        self.port = listener.getsockname()[1]

    async def stop(self) -> None:
        """Close the port and all connections."""
        if self._runner is not None:
            await self._runner.cleanup()

    def refuse(self) -> None:
        """Answer 503 from now on: the host drains."""
        self._stopping = True

    async def _home(self, _request: web.Request) -> web.Response:
        return web.Response(text="Your functions are listed under /admin/functions.\n")

    async def _host_status(self, _request: web.Request) -> web.Response:
        return _json(self._administration.status())

    async def _drain(self, _request: web.Request) -> web.Response:
        self._administration.drain()
        return web.Response(status=202)

    async def _drain_status(self, _request: web.Request) -> web.Response:
        return _json(self._administration.drain_status())

    async def _list(self, request: web.Request) -> web.Response:
        base = f"{request.scheme}://{request.host}"
        listing = []
        for function in self._functions:
            entry: dict[str, Any] = {
                "name": function.name,
                "href": f"{base}/admin/functions/{function.name}",
                "isDisabled": function.disabled,
                "language": "python",
                "config": {"bindings": list(function.bindings)},
                "retry": _retry(function),
            }
            if function.trigger.type == "httpTrigger":
                template = compile_route(function, self._prefix).template
                entry["invoke_url_template"] = f"{base}/{template}"
            listing.append(entry)
        return _json(listing)

    async def _run(self, request: web.Request) -> web.Response:
        text = await request.text()
        try:
            json.loads(text or "{}")
        except ValueError:
            return web.Response(status=400, text='The body must be JSON such as {"input": ""}.\n')
        found = await self._administration.run_once(request.match_info["name"])
        return web.Response(status=202 if found else 404)

    async def _dispatch(self, request: web.Request) -> web.Response:
        if self._stopping:
            return web.Response(status=503, text="The host is stopping.\n")
        found = self._router.find(request.method, request.rel_url.raw_path)
        if isinstance(found, int):
            return web.Response(status=found)
        route, values = found
        try:
            trigger = await _trigger(request, route, values)
        except web.HTTPRequestEntityTooLarge:
            return web.Response(status=413)
        # The tries of an HTTP invocation are never cut off: somebody waits for the answer.
        outcome = await self._executor.run(route.function, trigger, asyncio.Event())
        return _response(route.function, outcome)


async def _trigger(request: web.Request, route: Route, values: dict[str, str]) -> Trigger:
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        folded = name.lower()
        headers[folded] = f"{headers[folded]}, {value}" if folded in headers else value
    query: dict[str, str] = {}
    for name, value in request.query.items():
        if value:
            query[name] = f"{query[name]},{value}" if name in query else value
    body = await request.read() if request.content_length else b""
    if request.headers.get("Transfer-Encoding", "").lower() == "chunked":
        _log.warning("%s: a chunked body arrives empty, as on the real host", route.function.name)
    http = {
        "method": request.method,
        "url": str(request.url),
        "headers": headers,
        "query": query,
        "params": values,
        "body": body,
        "identities": [],
    }
    metadata: list[tuple[str, str | None, Any]] = [(name, "string", value) for name, value in values.items()]
    return Trigger([(route.function.trigger.name, "http", http)], metadata)


def _response(function: Function, outcome: Outcome) -> web.Response:
    if outcome.verdict is not Verdict.SUCCEEDED or outcome.result is None:
        return web.Response(status=500)
    value = outcome.result.return_value
    if value is None and not function.outputs:
        return web.Response(status=204)
    if value is None:
        return web.Response(status=200)
    kind, content = value
    if kind != "http":
        return _plain(kind, content)
    headers = dict(content["headers"])
    body = content["body"]
    content_type = next((v for k, v in headers.items() if k.lower() == "content-type"), None)
    headers = {k: v for k, v in headers.items() if k.lower() not in ("content-type", "content-length")}
    data = b"" if body is None else _bytes(*body)
    response = web.Response(status=int(float(content["status"])), body=data, headers=headers)
    if content_type:
        response.headers["Content-Type"] = content_type
    for cookie in content["cookies"]:
        _set_cookie(response, cookie)
    return response


def _plain(kind: str, content: Any) -> web.Response:
    """Answer with a value that is no response; the host looks whether a text is JSON."""
    data = _bytes(kind, content)
    try:
        json.loads(data)
        content_type = "application/json"
    except ValueError:
        content_type = "application/octet-stream" if kind == "bytes" else "text/plain"
    return web.Response(body=data, content_type=content_type)


def _bytes(kind: str, content: Any) -> bytes:
    return bytes(content) if kind == "bytes" else str(content).encode()


def _set_cookie(response: web.Response, cookie: dict[str, Any]) -> None:
    expires = cookie["expires"]
    response.set_cookie(
        cookie["name"],
        cookie["value"],
        domain=cookie["domain"] or None,
        path=cookie["path"] or "/",
        expires=formatdate(expires, usegmt=True) if expires is not None else None,
        secure=bool(cookie["secure"]),
        httponly=bool(cookie["http_only"]),
        samesite=cookie["same_site"],
        max_age=int(cookie["max_age"]) if cookie["max_age"] is not None else None,
    )


def _retry(function: Function) -> dict[str, Any] | None:
    policy = function.retry
    if policy is None:
        return None
    return {
        "strategy": policy.strategy,
        "maxRetryCount": policy.max_retry_count,
        "minimumSeconds": policy.minimum,
        "maximumSeconds": policy.maximum,
    }


def _json(content: Any) -> web.Response:
    return web.json_response(content)


def _bind(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    # Only TIME_WAIT of an earlier run is passed over; a live listener still refuses.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"Port {port} is taken ({error.strerror}): stop what uses it or choose another with --port."
        ) from error
    return listener
