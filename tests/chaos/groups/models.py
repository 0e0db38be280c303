"""Group 11: the model is missing, corrupt, of a wrong version, fails for some events or for all of them."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

from tests.chaos.oracle import Oracle
from tests.chaos.run import Run
from tests.chaos.traffic import Sent, event

RAISES, REFUSED, NOT_FINITE = -1, -2, -3
_TABLE = 6_000

FEATURES = f"""
import numpy as np

def features(columns):
    if (columns["distance"] == {RAISES}).any():
        raise LookupError("nobody foresaw this")
    index = np.where(columns["distance"] == {REFUSED}, {_TABLE} * 2, np.abs(columns["distance"]) % {_TABLE})
    argument = np.where(columns["distance"] == {NOT_FINITE}, -1.0, 1.0 + np.abs(columns["hour"]))
    return {{"index": index, "argument": argument}}
"""


def fragile_model(folder: Path) -> None:
    """A model whose features raise, whose graph refuses, or whose score is NaN, for the distances above."""
    shutil.rmtree(folder)
    folder.mkdir()
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["index"], ["whole"], to=TensorProto.INT64),
            helper.make_node("Gather", ["table", "whole"], ["found"]),
            helper.make_node("Log", ["argument"], ["logarithm"]),
            helper.make_node("Add", ["found", "logarithm"], ["score"]),
        ],
        "fragile",
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", 1])
            for name in ("index", "argument")
        ],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["rows", 1])],
        [helper.make_tensor("table", TensorProto.FLOAT, [_TABLE], [n / _TABLE for n in range(_TABLE)])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    content = model.SerializeToString()
    (folder / "model.onnx").write_bytes(content)
    (folder / "features.py").write_text(FEATURES)
    manifest = {
        "schema": 1,
        "name": "flights",  # of its folder
        "version": "1",
        "kind": "regressor",
        "sha256": hashlib.sha256(content).hexdigest(),
        "inputs": [
            {"name": "distance", "pointer": "/distance", "type": "number", "missing": "reject"},
            {"name": "hour", "pointer": "/hour", "type": "number", "missing": "reject"},
        ],
        "features": {
            "file": "features.py",
            "sha256": hashlib.sha256(FEATURES.encode()).hexdigest(),
            "columns": ["index", "argument"],
        },
        "outputs": {"value": "score"},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))


def _missing(model: Path) -> None:
    (model / "model.onnx").unlink()


def _corrupt(model: Path) -> None:
    path = model / "model.onnx"
    path.write_bytes(path.read_bytes()[:-100])


def _unloadable(model: Path) -> None:
    _rewrite(model, b"no model at all")


def _too_new(model: Path) -> None:
    loaded = onnx.load(model / "model.onnx")
    loaded.ir_version = 999
    _rewrite(model, loaded.SerializeToString())


def _wrong_version(model: Path) -> None:
    path = model / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "sha256": "0" * 64}))


def _rewrite(model: Path, content: bytes) -> None:
    (model / "model.onnx").write_bytes(content)
    path = model / "manifest.json"
    digest = hashlib.sha256(content).hexdigest()
    path.write_text(json.dumps({**json.loads(path.read_text()), "sha256": digest}))


BROKEN: dict[str, Callable[[Path], None]] = {
    "model missing": _missing,
    "model corrupt": _corrupt,
    "model no ONNX file": _unloadable,
    "model of another version than its manifest": _wrong_version,
    "model newer than the runtime": _too_new,
}


async def models(run: Run) -> None:
    """Group 11: the model missing, corrupt, of a wrong version; raising or NaN for one row; the brake."""
    run.make_app()
    await run.open()
    run.know(Oracle(run.app))
    share = run.events // (len(BROKEN) + 3)
    for row, spoil in BROKEN.items():
        broken = run.copy_app(run.folder / spoil.__name__.strip("_"))
        spoil(broken / "models" / "flights")
        await (run.restart_host(broken) if run.hosts else run.start_host(broken))
        await run.send(run.flights.events(share, row))
        await run.passed()
        run.acted(row, await run.queued())
        await run.restart_host()
        await run.drained()
    await _fragile(run, share)
    await _braked(run, "a wrong stream.json: the brake", {"id": "/no/such/field"}, share)
    await _nan_for_all(run, run.events - share * (len(BROKEN) + 2))


async def _fragile(run: Run, share: int) -> None:
    row = "raising, refusing or NaN for one row"
    app = run.copy_app(run.folder / "fragile")
    fragile_model(app / "models" / "flights")
    boundary = len(run.sender.sent)
    run.know(Oracle(app), lambda found: found.number >= boundary)
    await run.restart_host(app)
    kinds = {
        RAISES: "features.py raised",
        REFUSED: "model refuses the row",
        NOT_FINITE: "score not finite",
    }
    events: list[Sent] = run.flights.events(share, row)
    for distance, reason in kinds.items():
        for place in run.rng.sample(range(share), max(1, share // 60)):
            events[place] = event(run.flights.one(distance=distance), row, reason)
    await run.send(events)
    run.acted(row)
    await run.passed()
    await run.drained()
    again = len(run.sender.sent)
    run.know(Oracle(run.app), lambda found: found.number >= again)
    await run.restart_host()


async def _braked(run: Run, row: str, stream: dict[str, Any], count: int) -> None:
    """Every event fails for one reason: none may become a dead letter, and all are stored once it is fixed."""
    broken = run.copy_app(run.folder / "braked", stream=stream)
    await run.restart_host(broken)
    await run.send(run.flights.events(count, row))
    await run.passed()
    run.acted(row, await run.queued())
    await run.restart_host()
    await run.drained()


async def _nan_for_all(run: Run, count: int) -> None:
    row = "NaN for every event: the brake"
    broken = run.copy_app(run.folder / "nan")
    fragile_model(broken / "models" / "flights")
    path = broken / "models" / "flights"
    code = FEATURES.replace(f'columns["distance"] == {NOT_FINITE}', 'columns["hour"] >= 0')
    (path / "features.py").write_text(code)
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["features"]["sha256"] = hashlib.sha256(code.encode()).hexdigest()
    (path / "manifest.json").write_text(json.dumps(manifest))
    await run.restart_host(broken)
    await run.send(run.flights.events(count, row))
    await run.passed()
    run.acted(row, await run.queued())
    await run.restart_host()
    await run.drained()
