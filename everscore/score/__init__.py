"""A model and its scores: manifest, columns, tensors, the ONNX session, its outputs."""
