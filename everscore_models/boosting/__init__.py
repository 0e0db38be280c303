"""Boosted trees as ONNX: read from the libraries' own files, and written so that they answer alike."""
