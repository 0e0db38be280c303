"""Nothing that this project runs reports its use to anybody."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.support.services import ROOT


def test_onnxruntime_does_not_report(tmp_path):
    """A model loads and scores without the telemetry files that onnxruntime leaves in the temporary folder."""
    code = (
        "import json, pathlib\n"
        "from everscore.score.loading import load_model\n"
        "model = load_model(pathlib.Path('models/flights'))\n"
        "line = open('models/flights/sample.jsonl').readline()\n"
        "print(model.score([json.loads(line)])[0].label)\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    environment |= {"TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip()
    assert list(tmp_path.iterdir()) == []
