"""The files of a model's folder, as `export` and `add` write them alike."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from everscore.failures import Failure
from everscore.score.golden import GOLDEN_FILE, GoldenRow
from everscore.score.input_form import Input
from everscore.score.loading import load_model
from everscore.score.manifest import MANIFEST_FILE, Features, Manifest, parse_manifest
from everscore.score.output_form import Kind
from everscore_models.errors import ExportError
from everscore_models.trained import Payload

SAMPLE_FILE = "sample.jsonl"
EXPECTED_FILE = "expected.jsonl"


def document_of(
    name: str,
    version: str,
    *,
    description: str,
    kind: Kind,
    content: bytes,
    inputs: Sequence[Input],
    outputs: Mapping[str, Any],
    tensors: Mapping[str, Sequence[str]],
    features: Features | None,
    tools: Mapping[str, str],
    training: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A manifest as JSON, but for its parity and golden rows; of schema 2 where it needs that."""
    listed = [each.model_dump(mode="json", exclude_none=True) for each in inputs]
    for each in listed:
        if "categories" not in each:
            each.pop("unseen", None)
    document: dict[str, Any] = {
        "$schema": "../../everscore/schemas/model.schema.json",
        "schema": 2 if _needs_second(kind, outputs, listed) else 1,
        "name": name,
        "version": version,
        "description": description,
        "kind": str(kind),
        "sha256": hashlib.sha256(content).hexdigest(),
        "inputs": listed,
        "outputs": dict(outputs),
    }
    if training is not None:
        document["training"] = dict(training)
    document["tools"] = {"python": ".".join(platform.python_version_tuple()[:2]), **tools}
    if features is not None:
        document["features"] = features.model_dump(mode="json")
    if tensors:
        document["tensors"] = {tensor: list(columns) for tensor, columns in tensors.items()}
    return document


def _needs_second(kind: Kind, outputs: Mapping[str, Any], inputs: Sequence[Mapping[str, Any]]) -> bool:
    newer = kind is Kind.CLUSTERER or "columns" in outputs or bool(outputs.get("transform"))
    return newer or any("categories" in each or "shape" in each for each in inputs)


def parity_of(rows: int, tolerance: float, largest: float) -> dict[str, Any]:
    """What a manifest says of a comparison."""
    return {
        "rows": rows,
        "tolerance": float(f"{tolerance:.3g}"),
        "largestDifference": float(f"{largest:.3g}"),
    }


def write_manifest(folder: Path, document: Mapping[str, Any]) -> Manifest:
    """Writes a manifest that is in order.

    Raises:
        ManifestError: it is not.
    """
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    manifest = parse_manifest(text.encode(), where=MANIFEST_FILE)
    (folder / MANIFEST_FILE).write_text(text, encoding="utf-8")
    return manifest


def write_golden(folder: Path, rows: Sequence[GoldenRow], document: dict[str, Any]) -> None:
    """Writes golden.jsonl, and its hash into the manifest; nothing where there are no rows."""
    if not rows:
        return
    lines = b"".join(msgspec.json.encode(row) + b"\n" for row in rows)
    (folder / GOLDEN_FILE).write_bytes(lines)
    document["golden"] = {"rows": len(rows), "sha256": hashlib.sha256(lines).hexdigest()}


def write_sample(folder: Path, sample: Sequence[Payload]) -> None:
    """Writes some events, and what the model in the folder says of them.

    Raises:
        ExportError: it cannot score one of them.
    """
    expected: list[dict[str, Any]] = []
    for index, each in enumerate(load_model(folder).score(sample)):
        if isinstance(each, Failure):
            raise ExportError(f"The model cannot score its own sample {index} ({each.detail})")
        expected.append({"label": each.label, "value": each.value})
    (folder / SAMPLE_FILE).write_text(json_lines(sample), encoding="utf-8")
    (folder / EXPECTED_FILE).write_text(json_lines(expected), encoding="utf-8")


def json_lines(rows: Any) -> str:
    """One JSON object a line."""
    return "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)
