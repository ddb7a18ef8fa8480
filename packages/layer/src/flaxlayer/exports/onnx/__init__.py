"""ONNX files of models of either backend (S4)."""
