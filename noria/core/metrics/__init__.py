"""Metrics in numpy alone, so that training, gates and monitoring measure the same thing: one module per task."""
