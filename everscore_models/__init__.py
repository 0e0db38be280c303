"""From a fitted scikit-learn pipeline to a checked ONNX file and its manifest. Not deployed."""
