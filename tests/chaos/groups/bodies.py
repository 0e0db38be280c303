"""Strange bodies: legal, and many times larger, deeper or other than they look, among good ones."""

from __future__ import annotations

import asyncio
import codecs
import gzip
import json
from collections.abc import Callable
from typing import Any

from tests.chaos.groups.processes import SLOW, busy
from tests.chaos.oracle import Oracle
from tests.chaos.run import Run
from tests.chaos.traffic import Sent

# The least that there may be, so that batches are read in slices.
MEMORY_MIB = "4"
KILLS = 3
NONE: frozenset[str] = frozenset()

MANY, LIST, TINY = "lists of 12,000 records", "lists up to the limit", "gzip of 1:1,000"
LONG, WIDE, BAD = "64-bit numbers", "UTF-16 and UTF-32", "bad records among good"
KILLED = "SIGKILL between two slices"

# What stands in a list in place of an event, and the reasons that its dead letter may give.
BAD_RECORDS: list[tuple[bytes, str]] = [
    (b'{"serial":' + b"7" * 5_000 + b',"x":NaN}', "number too long"),
    (b'{"x":-Infinity}', "number not finite"),
    (b"{'carrier': 'UA, it is', 'x': [1, 2]}", "not JSON"),
    (b'{"carrier":"\xe9"}', "not UTF-8"),
    (b'{"x":' + b"[" * 400 + b"]" * 400 + b"}", "nesting too deep"),
    (b"nothing at all", "not JSON"),
    (b"0", "not an object"),
]

type Encode = Callable[[str], bytes]

ENCODINGS: list[Encode] = [
    lambda text: text.encode("utf-16"),
    lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
    lambda text: text.encode("utf-32"),
    lambda text: gzip.compress(text.encode("utf-16"), mtime=0),
]


def _text(flight: dict[str, Any]) -> str:
    return json.dumps(flight, ensure_ascii=False)


def _plain(flight: dict[str, Any]) -> bytes:
    return json.dumps(flight).encode()


def _packed(body: bytes) -> bytes:
    return gzip.compress(body, 9, mtime=0)


def _listed(records: list[bytes]) -> bytes:
    return b"[" + b",".join(records) + b"]"


async def bodies(run: Run) -> None:
    """Strange bodies: lists of 12,000 records, gzip of 1:1,000, 64-bit numbers, UTF-16, bad records among good."""
    run.settings |= {"BRAKE_HOURS": "0", "BATCH_MEMORY_MIB": MEMORY_MIB}
    run.make_app()
    await run.open()
    await run.start_host()
    run.know(Oracle(run.app))
    await _single(run, run.events // 3)
    app = run.copy_app(run.folder / "lists", stream={"unwrap": "array"})
    boundary = len(run.sender.sent)
    run.know(Oracle(app), lambda found: found.number >= boundary)
    await run.restart_host(app)
    await _lists(run, run.events - run.events // 3)


async def _single(run: Run, count: int) -> None:
    """Bodies of one event each."""
    made: list[Sent] = []
    for number in range(count // 4):
        long = run.rng.choice([2**53 + 1, 2**63 - 1, -(2**63), 2**64 + 1, 10**30])
        fields = {"id": long + number} if number % 3 == 0 else {"serial": [long]}
        made.append(Sent(LONG, _plain(run.flights.one(**fields))))
        encode = ENCODINGS[number % len(ENCODINGS)]
        made.append(Sent(WIDE, encode(_text(run.flights.one(remark="é, 日本, 😀")))))
    for number in range(count // 40):
        grown = " " * (1_500_000 if number % 2 else 12_000_000)
        reasons = NONE if number % 2 else frozenset({"decompressed too large"})
        made.append(Sent(TINY, _packed(_plain(run.flights.one(remark=grown))), reasons=reasons))
    made.append(Sent(WIDE, codecs.BOM_UTF16_LE + b"{", reasons=frozenset({"not UTF-16"})))
    for row in (LONG, WIDE, TINY):
        run.acted(row, sum(each.row == row for each in made))
    made += run.flights.events(count - len(made), LONG)
    run.rng.shuffle(made)
    await run.send(made)
    await run.passed(120)
    await run.drained()


async def _lists(run: Run, count: int) -> None:
    """Bodies that are lists; the worker is killed while they are read in slices."""
    made: list[Sent] = []
    left = count
    for number in range(5):
        zeros = _listed([b"0"] * (12_000 + number))
        flights = _listed([_plain(run.flights.one())] * (12_000 + number))
        made.append(Sent(MANY, zeros, reasons=frozenset({"too many records"})))
        made.append(Sent(MANY, _packed(flights), reasons=frozenset({"too many records"})))
        made.append(
            Sent(TINY, _packed(_listed([b"{}"] * 4_000_000)), reasons=frozenset({"too many records"}))
        )
        large = _listed([_plain(run.flights.one(remark=" " * 17_000_000))])
        made.append(Sent(TINY, _packed(large), reasons=frozenset({"decompressed too large"})))
    size = max(1, count // 8)
    for _ in range(4):
        records = [_plain(run.flights.one()) for _ in range(size)]
        made.append(Sent(LIST, _packed(_listed(records)), records=(NONE,) * size))
        left -= size
    while left > 0:
        made.append(_with_bad_records(run))
        left -= len(made[-1].records)
    for row in (MANY, TINY, LIST, BAD):
        run.acted(row, sum(each.row == row for each in made))
    run.rng.shuffle(made)
    async with run.acting(KILLED), run.bench.store.faults(SLOW):
        share = -(-len(made) // KILLS)
        for start in range(0, len(made), share):
            await run.send(made[start : start + share])
            await busy(run, run.host)
            await asyncio.sleep(0.3 + run.rng.random())
            await run.host.kill_worker()
            await run.send([Sent(KILLED, _listed([_plain(run.flights.one())]), records=(NONE,))])
            run.acted(KILLED)
    await run.passed(120)
    await run.drained()


def _with_bad_records(run: Run) -> Sent:
    records: list[bytes] = []
    reasons: list[frozenset[str]] = []
    for _ in range(run.rng.randint(2, 6)):
        if run.rng.random() < 0.25:
            record, reason = run.rng.choice(BAD_RECORDS)
            records.append(record)
            reasons.append(frozenset({reason}))
        else:
            records.append(_plain(run.flights.one()))
            reasons.append(NONE)
    body = _listed(records)
    if run.rng.random() < 0.2:
        body = codecs.BOM_UTF8 + body
    if run.rng.random() < 0.3:
        body = _packed(body)
    return Sent(BAD, body, records=tuple(reasons))
