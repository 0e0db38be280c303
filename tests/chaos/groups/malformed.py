"""Group 10: bodies that producers get wrong, among good ones; and odd ones that must be stored all the same."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import Any

from tests.chaos.oracle import Oracle
from tests.chaos.run import Run
from tests.chaos.traffic import Sent

type Make = Callable[[dict[str, Any]], bytes]

# Of all events of a row; the rest are good neighbours.
SHARE = 0.3


def _with(**fields: Any) -> Make:
    return lambda flight: json.dumps({**flight, **fields}).encode()


def _without(name: str) -> Make:
    return lambda flight: json.dumps({key: value for key, value in flight.items() if key != name}).encode()


def _text(old: str, new: str) -> Make:
    return lambda flight: json.dumps(flight).replace(old, new, 1).encode()


def _raw(body: bytes) -> Make:
    return lambda _flight: body


def _plain(flight: dict[str, Any]) -> bytes:
    return json.dumps(flight).encode()


def _nested(depth: int) -> Make:
    return lambda flight: _plain(flight)[:-1] + b', "deep": ' + b"[" * depth + b"]" * depth + b"}"


def _bomb(flight: dict[str, Any]) -> bytes:
    return gzip.compress(json.dumps({**flight, "air": " " * 20_000_000}).encode(), 9, mtime=0)


def _id(text: str) -> Make:
    """An id of this text, made unlike all others."""
    return lambda flight: json.dumps({**flight, "id": text + flight["id"]}).encode()


# By row: how a body is made, and the reasons that its dead letter may give; "" where it must be stored.
CASES: dict[str, list[tuple[Make, str]]] = {
    "not UTF-8": [
        (_raw(b"\xff\xfe\x00"), "not UTF-16"),
        (lambda flight: _plain(flight).replace(b"-", b"\xe9", 1), "not UTF-8"),
    ],
    "empty": [(_raw(b""), "empty body"), (_raw(b"   "), "not JSON")],
    "truncated": [
        (lambda flight: _plain(flight)[: len(_plain(flight)) // 2], "not JSON"),
        (lambda flight: _plain(flight) + b"}", "not JSON"),
        (lambda flight: gzip.compress(_plain(flight), mtime=0)[:-9], "gzip truncated"),
    ],
    "huge": [
        (_with(remark="x" * 700_000), ""),
        (
            lambda flight: gzip.compress(_plain({**flight, "remark": "x" * 2_500_000}), mtime=0),
            "decompressed too large",
        ),
        (_bomb, "decompressed too large"),
    ],
    "deep nesting": [
        (_nested(60), ""),
        (_nested(3_000), "nesting too deep"),
        (_raw(b"[" * 100_000), "nesting too deep"),
    ],
    "NaN and Infinity": [
        (_with(distance=float("nan")), "number not finite"),
        (_with(dep_delay=float("inf")), "number not finite"),
        (_text('"distance": ', '"other": -Infinity, "distance": '), "number not finite"),
        (_text('"distance": ', '"other": 1e999, "distance": '), "number not finite"),
    ],
    "huge integers": [
        (_with(serial=2**63 + 1), ""),
        (_with(serial=2**64 + 1, other=[-(2**70)]), ""),
        (_text('"distance": ', '"other": ' + "9" * 5_000 + ', "distance": '), "number too long"),
    ],
    "wrong types": [
        (_with(distance="far"), "wrong type of input"),
        (_with(cancelled=1), "wrong type of input"),
        (_with(origin=["EWR"]), "wrong type of input"),
        (_with(time=1_385_000_000), "time of the wrong type"),
        (_with(time="yesterday"), "time not readable"),
        (_with(id=["EWR", 1545]), "id of the wrong type"),
        (_with(id=True), "id of the wrong type"),
        (_with(carrier={"code": "UA"}), "partition key of the wrong type"),
        (_raw(b'"only a text"'), "not an object"),
        (_raw(b"null"), "not an object"),
    ],
    "missing and null keys": [
        (_without("id"), "id missing"),
        (_with(id=None), "id is null"),
        (_with(id=""), "id is empty"),
        (_without("date"), "partition key missing"),
        (_with(carrier=None), "partition key is null"),
        (_without("time"), "time missing"),
        (_without("distance"), "input missing"),
        (_with(hour=None), "input missing"),
        (_without("dep_delay"), ""),
    ],
    "illegal and over-long ids": [
        (_id("plant/line#3?\\ "), ""),
        (_id("x" * 2_000), ""),
        (_id("日本" * 400), ""),
        (_with(date="d" * 2_100), "partition key too long"),
    ],
    "control characters, lone surrogates": [
        (_id("\x00\x01\t\n"), ""),
        # JSON can spell what UTF-8 cannot hold; the store says whether it takes that, and the stand-in does not.
        (_id("\ud800"), "refused by the store"),
        (_with(remark="\udfff and \x00"), "refused by the store"),
        (_with(remark="\x00\x1f\x7f"), ""),
        (_text('"carrier": "', '"carrier": "\x01'), "not JSON"),
    ],
    "duplicate keys": [
        (lambda flight: _plain(flight)[:-1] + b', "month": 12}', ""),
        (lambda flight: _plain(flight)[:-1] + b', "id": null}', "id is null"),
    ],
    "gzip": [
        (lambda flight: gzip.compress(_plain(flight), mtime=0), ""),
        (
            lambda flight: gzip.compress(_plain(flight), mtime=0)[:30] + b"\x00" * 50,
            "gzip corrupt|gzip truncated",
        ),
        (_raw(gzip.compress(b"hello", mtime=0)), "not JSON"),
    ],
}

# What an own decoder that reads JSON leaves to the pipeline to refuse.
DECODED: list[tuple[Make, str]] = [
    case
    for row in ("NaN and Infinity", "wrong types", "missing and null keys")
    for case in CASES[row]
    if case[1] not in ("", "not an object")
]


async def malformed(run: Run) -> None:
    """Group 10: malformed and odd events of every kind among good ones, single, in lists and wrapped."""
    run.settings["BRAKE_HOURS"] = "0"  # the brake has a row of its own
    run.make_app()
    await run.open()
    await run.start_host()
    run.know(Oracle(run.app))
    share = run.events // (len(CASES) + 2)
    events: list[Sent] = []
    for row, cases in CASES.items():
        bad = max(len(cases), int(share * SHARE))
        for number in range(bad):
            make, reason = cases[number % len(cases)]
            reasons = frozenset(reason.split("|")) if reason else frozenset()
            events.append(Sent(row, make(run.flights.one()), reasons=reasons))
        events += [Sent(row, _plain(run.flights.one())) for _ in range(share - bad)]
        run.acted(row, bad)
    run.rng.shuffle(events)
    await run.send(events)
    await run.passed(120)
    await run.drained()
    left = (run.events - len(events)) // 2
    for unwrap, row in (("array", "lists of events"), ("records", "wrapped records")):
        await _wrapped(run, unwrap, row, left)


async def _wrapped(run: Run, unwrap: str, row: str, count: int) -> None:
    """Bodies of up to five records, some of them bad; and whole bodies that are not what they should be."""
    app = run.folder / unwrap
    run.copy_app(app, stream={"unwrap": unwrap})
    boundary = len(run.sender.sent)
    run.know(Oracle(app), lambda found: found.number >= boundary)
    await run.restart_host(app)
    events = []
    made = 0
    while made < count:
        records, reasons = [], []
        for _ in range(run.rng.randint(1, 5)):
            bad = run.rng.random() < 0.15
            records.append(run.flights.one(**({"time": "yesterday"} if bad else {})))
            reasons.append(frozenset({"time not readable"}) if bad else frozenset())
        body = json.dumps(records if unwrap == "array" else {"records": records}).encode()
        if run.rng.random() < 0.2:
            body = gzip.compress(body, mtime=0)
        events.append(Sent(row, body, records=tuple(reasons)))
        made += len(records)
    for body, reason in ((b"[]", "no records" if unwrap == "array" else "not wrapped as declared"),):
        events.append(Sent(row, body, reasons=frozenset({reason})))
    events.append(Sent(row, _plain(run.flights.one()), reasons=frozenset({"not wrapped as declared"})))
    events.append(Sent(row, b'{"records": [', reasons=frozenset({"not JSON"})))
    run.rng.shuffle(events)
    await run.send(events)
    run.acted(row, made)
    await run.passed(120)
    await run.drained()
