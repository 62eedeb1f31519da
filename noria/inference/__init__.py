"""Runs a bundle: the encoder, the ONNX graph, the calibration. Needs numpy and ONNX Runtime, nothing else."""
