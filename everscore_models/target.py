"""Which ONNX is written: older than the pinned onnxruntime loads, so that older ones load it too."""

TARGET_OPSET = {"": 21, "ai.onnx.ml": 3}
TARGET_IR = 10
