"""The control port: throttling, faults, state. For tests and the local stack; loopback only."""

import ipaddress
from typing import Any

import msgspec
from aiohttp import web

from . import faults
from .engine import Engine
from .errors import ServiceError
from .gateway import Gateway
from .rules import plain_key


class ThrottleOrder(msgspec.Struct, forbid_unknown_fields=True):
    """``rus`` (null: no limit) for ``seconds``, or for good where that is left out."""

    rus: float | None
    seconds: float | None = None


class Control:
    """Answers requests on the control port."""

    def __init__(self, gateway: Gateway, engine: Engine) -> None:
        self._gateway = gateway
        self._engine = engine

    async def handle(self, request: web.BaseRequest) -> web.Response:
        """Answer one request."""
        if not _is_local(request):
            return _json({"error": "The control port answers loopback addresses only."}, 403)
        path = request.path.rstrip("/")
        try:
            match request.method, path:
                case "GET", "/state":
                    return _json(self.state())
                case "GET", "/accepted":
                    return self._accepted(request)
                case "POST", "/throttle":
                    return self._throttle(await request.read())
                case "POST", "/faults":
                    return self._add_faults(await request.read())
                case "GET", "/faults":
                    return _json({"rules": self._gateway.faults.describe()})
                case "DELETE", "/faults":
                    self._gateway.faults.clear()
                    return _json({"rules": []})
                case _:
                    return _json({"error": f"The control port has no {request.method} {request.path}."}, 404)
        except msgspec.MsgspecError as error:
            return _json({"error": f"The body is not as expected: {error}."}, 400)
        except ServiceError as error:
            return _json({"error": error.message}, error.status)

    def state(self) -> dict[str, Any]:
        """Return what the stand-in holds and has done since it was started."""
        gateway, service = self._gateway, self._gateway.service
        for container in service.store.by_rid.values():
            service.drop_expired(container)
        databases = {
            name: {
                container.id: {
                    "documents": container.count,
                    "partitionKeys": len(container.partitions),
                    "partitionKeyPaths": container.definition["partitionKey"]["paths"],
                }
                for container in database.containers.values()
            }
            for name, database in service.store.databases.items()
        }
        return {
            "databases": databases,
            "documents": sum(
                c["documents"] for containers in databases.values() for c in containers.values()
            ),
            "acceptedWrites": service.accepted_writes,
            "firstWrites": service.first_writes,
            "throttledRequests": gateway.throttled,
            "faultedRequests": gateway.faults.acted,
            "requests": dict(gateway.requests),
            "statuses": {str(status): count for status, count in sorted(gateway.statuses.items())},
            "rus": gateway.throttle.rate(),
            "engine": {"pid": self._engine.pid, "starts": self._engine.starts},
        }

    def _accepted(self, request: web.BaseRequest) -> web.Response:
        database, name = request.query.get("database", ""), request.query.get("container", "")
        container = self._gateway.service.store.container(database, name)
        times: dict[str, int] = {}
        for key, partition in container.partitions.items():
            shown = plain_key(key)
            for item_id, stored in partition.items():
                times[f"{shown} {item_id}"] = stored.accepted_ms
        for (key, item_id), accepted_ms in container.gone.items():
            times.setdefault(f"{plain_key(key)} {item_id}", accepted_ms)
        return _json(times)

    def _throttle(self, body: bytes) -> web.Response:
        order = msgspec.json.decode(body, type=ThrottleOrder)
        if order.rus is not None and order.rus <= 0:
            return _json({"error": "'rus' must be above 0, or null for no limit."}, 400)
        self._gateway.throttle.set(order.rus, order.seconds)
        return _json({"rus": self._gateway.throttle.rate()})

    def _add_faults(self, body: bytes) -> web.Response:
        rules = msgspec.json.decode(body, type=list[faults.Rule] | faults.Rule)
        self._gateway.faults.add([rules] if isinstance(rules, faults.Rule) else rules)
        return _json({"rules": self._gateway.faults.describe()})


def _is_local(request: web.BaseRequest) -> bool:
    """Tell whether a request comes from this machine and names it (a web page's request would not)."""
    try:
        if not ipaddress.ip_address(request.remote or "").is_loopback:
            return False
        host = request.headers.get("host", "").rpartition(":")[0].strip("[]")
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(value), content_type="application/json")
