"""The scoring pipeline: from the events of a hub to scored documents, with every event accounted for."""

import os

# onnxruntime 1.32 reports its use to Microsoft unless this is set before its import
# (microsoft/onnxruntime#27379); whoever wants that sets it to 0.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
