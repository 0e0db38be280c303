"""Ways in which producers get events wrong. None of these can ever be scored, so each is a dead letter."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

type Break = Callable[[bytes, dict[str, Any]], bytes]


def _with(**fields: Any) -> Break:
    return lambda _body, payload: json.dumps({**payload, **fields}).encode()


def _without(name: str) -> Break:
    return lambda _body, payload: json.dumps({k: v for k, v in payload.items() if k != name}).encode()


WAYS: dict[str, Break] = {
    "truncated JSON": lambda body, _payload: body[: len(body) // 2],
    "empty body": lambda _body, _payload: b"",
    "not UTF-8": lambda body, _payload: body.replace(b'"id":"', b'"id":"\xff\xfe', 1),
    "plain text": lambda _body, payload: f"flight {payload['flight']} is late".encode(),
    "id missing": _without("id"),
    "id null": _with(id=None),
    "id of the wrong type": _with(id=["EWR", 1545]),
    "id empty": _with(id=""),
    "a list, not an object": lambda body, _payload: b"[" + body + b"]",
    "partition key missing": _without("date"),
    "time of the wrong form": _with(time="yesterday"),
    "input missing": _without("distance"),
    "input of the wrong type": _with(distance="far"),
    "NaN": lambda _body, payload: json.dumps({**payload, "dep_delay": float("nan")}).encode(),
}


def is_malformed(index: int, every: int) -> bool:
    """Whether the event of this index is to be broken: one in ``every``, not the first."""
    return index % every == every // 2


def break_event(index: int, body: bytes, payload: dict[str, Any]) -> tuple[str, bytes]:
    """Break an event in the next of the ways.

    Returns:
        the name of the way, and the broken bytes.
    """
    names = list(WAYS)
    way = names[index % len(names)]
    return way, WAYS[way](body, payload)
