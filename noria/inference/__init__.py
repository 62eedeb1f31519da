"""Scores and explains rows with a bundle: encoder, ONNX graph, calibration. Needs numpy and ONNX Runtime alone."""
