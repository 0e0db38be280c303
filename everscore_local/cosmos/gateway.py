"""The HTTP side: signature, faults, throttling, then the service."""

import asyncio
import contextlib
import logging
import socket
import struct
import uuid
from collections import Counter
from urllib.parse import unquote

from aiohttp import web

from . import charges, faults
from .auth import Signatures
from .batch import encode_failure
from .calls import Answer, Call
from .errors import ServiceError, code_of
from .rules import plain_key
from .service import Service

log = logging.getLogger("cosmos")

_HTML = "<html><head><title>{status}</title></head><body><h1>{status} {reason}</h1></body></html>"


class Gateway:
    """Answers requests on the account's address."""

    def __init__(
        self, service: Service, signatures: Signatures, throttle: charges.Throttle, rules: faults.Faults
    ) -> None:
        self.service = service
        self.throttle = throttle
        self.faults = rules
        self._signatures = signatures
        self.requests: Counter[str] = Counter()
        self.statuses: Counter[int] = Counter()
        self.throttled = 0

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        verb = request.method
        path = request.raw_path.partition("?")[0]
        segments = [unquote(part) for part in path.split("/") if part]
        fault: faults.Rule | None = None
        call: Call | None = None
        try:
            raw = await _read(request)
            self._signatures.check(verb, segments, request.headers)
            call = self.service.understand(verb, segments, request.headers, raw)
            fault = self._fault(call)
            answer = await self._answer(call, fault)
        except ServiceError as error:
            answer = _refusal(error)
        except (UnicodeError, RecursionError):
            # Headers with stray bytes, bodies nested by the thousand: the client's mistake.
            answer = _refusal(ServiceError(400))
        except OSError as error:
            log.exception("the journal cannot be written")
            answer = _refusal(ServiceError(503, f"The stand-in cannot write its journal: {error.strerror}."))
        self.requests[call.operation if call else "refused"] += 1
        self.statuses[answer.status] += 1
        return await _send(request, answer, fault.action if fault else None)

    def _fault(self, call: Call) -> faults.Rule | None:
        if not self.faults:
            return None
        key = plain_key(call.key) if call.key is not None else None
        return self.faults.act(faults.Request(call.operation, key, call.ids()))

    async def _answer(self, call: Call, fault: faults.Rule | None) -> Answer:
        if fault is None:
            return await self._carry_out(call)
        action = fault.action
        if action.ignore_if_match:
            for operation in call.operations:
                operation.if_match = None
        if not action.after_commit and not action.delay_in_body:
            await asyncio.sleep(action.delay_seconds)
        if action.after_commit:
            with contextlib.suppress(ServiceError):
                answer = await self._carry_out(call)
                if action.status is None:
                    return answer
        if action.status is None:
            return await self._carry_out(call)
        return _faulty(fault, call)

    async def _carry_out(self, call: Call) -> Answer:
        budget = None
        rate = self.throttle.rate()
        if call.container is not None and call.operation != "metadata":
            budget = self.throttle.budget(call.container.rid)
            wait = budget.wait_ms(rate)
            if wait:
                self.throttled += 1
                raise ServiceError(429, substatus=3200, retry_after_ms=wait)
        try:
            answer = await self.service.carry_out(call)
        except ServiceError:
            if budget is not None:
                budget.spend(charges.REFUSED)
            raise
        if budget is not None:
            budget.spend(answer.charge)
        if call.container is not None:
            answer.headers["x-ms-session-token"] = f"0:-1#{call.container.lsn}"
        return answer


async def _send(request: web.BaseRequest, answer: Answer, action: faults.Action | None) -> web.StreamResponse:
    headers = {
        "content-type": "application/json",
        "x-ms-activity-id": request.headers.get("x-ms-activity-id") or str(uuid.uuid4()),
        "x-ms-request-charge": f"{answer.charge:.2f}",
        "x-ms-gatewayversion": "version=2.14.0",
        **answer.headers,
    }
    if action is not None:
        if action.after_commit and not action.delay_in_body:
            await asyncio.sleep(action.delay_seconds)
        if action.reset or action.delay_in_body:
            return await _send_in_parts(request, answer, headers, action)
    return web.Response(status=answer.status, body=answer.body, headers=headers)


async def _read(request: web.BaseRequest) -> bytes:
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise ServiceError(413) from error


def _refusal(error: ServiceError) -> Answer:
    return Answer(error.status, error.body(), charges.REFUSED, error.headers())


def _faulty(fault: faults.Rule, call: Call) -> Answer:
    """Return the answer that a fault gives instead of the true one."""
    action = fault.action
    status = action.status or 500
    error = ServiceError(
        status, action.message, substatus=action.substatus, retry_after_ms=action.retry_after_ms
    )
    if action.in_batch_index is not None:
        ids = call.ids()
        guilty = ids.index(fault.match.id or "") if action.in_batch_index == "id" else action.in_batch_index
        return Answer(207, encode_failure(len(ids), min(guilty, len(ids) - 1), error), charges.REFUSED)
    answer = _refusal(error)
    if action.body == "html":
        answer.body = _HTML.format(status=status, reason=code_of(status)).encode()
        answer.headers["content-type"] = "text/html"
    elif action.body == "text":
        answer.body = error.message.encode()
        answer.headers["content-type"] = "text/plain"
    elif action.body == "empty":
        answer.body = b""
    return answer


async def _send_in_parts(
    request: web.BaseRequest, answer: Answer, headers: dict[str, str], action: faults.Action
) -> web.StreamResponse:
    """Send the headers and half of the body, then wait or reset."""
    response = web.StreamResponse(status=answer.status, headers=headers)
    response.content_length = max(len(answer.body), 2)
    await response.prepare(request)
    half = len(answer.body) // 2
    await response.write(answer.body[:half])
    if action.delay_in_body:
        await asyncio.sleep(action.delay_seconds)
    if action.reset:
        reset(request)
        return response
    await response.write(answer.body[half:])
    await response.write_eof()
    return response


def reset(request: web.BaseRequest) -> None:
    """Break the connection with a TCP reset."""
    transport = request.transport
    if transport is None:
        return
    connection = transport.get_extra_info("socket")
    if connection is not None:
        # Lingering for 0 seconds makes close() send RST instead of FIN.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
