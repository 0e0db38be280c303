"""R19: the model does not load, since its IR version (or opset) is newer than the runtime.

Condition: a model made with a newer onnx package than the deployed onnxruntime.
Right: checked when a model is exported and when it is loaded; the error names the model's version, the supported
one and the remedy; events are queued meanwhile, so the failure is a transient one.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import onnx
import onnxruntime
import pytest

from everscore.failures import FailureClass, Transient
from everscore.score.loading import load_model
from everscore.score.onnx import open_session
from everscore_models.check import check
from everscore_models.target import TARGET_IR, TARGET_OPSET

FLIGHTS = Path(__file__).resolve().parents[2] / "models" / "flights"
NEWEST = 99


def newer(folder: Path, *, ir: int | None = None, opset: int | None = None) -> Path:
    """The shipped model as another onnx package would have written it."""
    model = onnx.load(FLIGHTS / "model.onnx")
    if ir is not None:
        model.ir_version = ir
    if opset is not None:
        next(each for each in model.opset_import if each.domain == "").version = opset
    content = model.SerializeToString()
    (folder / "model.onnx").write_bytes(content)
    manifest = json.loads((FLIGHTS / "manifest.json").read_text())
    manifest["sha256"] = hashlib.sha256(content).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


@pytest.mark.parametrize("what", ["ir", "opset"])
def test_a_model_that_is_too_new_names_both_versions_and_the_remedy(tmp_path: Path, what: str) -> None:
    """IR 99 or opset 99: transient, one sentence with 99, what this runtime supports, and what to do."""
    with pytest.raises(Transient) as caught:
        load_model(newer(tmp_path, **{what: NEWEST}))
    failure = caught.value
    assert (failure.failure_class, failure.reason) == (FailureClass.TRANSIENT, "model too new")
    assert f"{'IR version' if what == 'ir' else 'opset'} {NEWEST}" in failure.detail
    assert f"onnxruntime {onnxruntime.__version__} loads up to" in failure.detail
    assert (
        "export it again with everscore_models, or update onnxruntime in requirements.txt" in failure.detail
    )
    assert "\n" not in failure.detail


def test_the_command_for_ci_refuses_it_too(tmp_path: Path) -> None:
    """'check', which CI runs over all models, fails with the same sentence."""
    with pytest.raises(Transient, match="model too new"):
        check(newer(tmp_path, ir=NEWEST))


def test_the_exporter_stays_below_what_the_runtime_loads() -> None:
    """The exporter's IR version and opsets are pinned, and the shipped model has just these or older ones."""
    model = onnx.load(FLIGHTS / "model.onnx")
    assert model.ir_version == TARGET_IR < onnx.IR_VERSION
    assert all(each.version <= TARGET_OPSET[each.domain] for each in model.opset_import)
    model.ir_version = TARGET_IR
    for each in model.opset_import:
        each.version = TARGET_OPSET[each.domain]
    open_session(model.SerializeToString(), FLIGHTS, threads=1)
