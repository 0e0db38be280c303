"""What is looked up in an ONNX graph, and changed in it."""
