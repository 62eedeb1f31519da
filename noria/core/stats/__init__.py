"""Statistics that decide: bootstrap tests, confidence sequences, fairness, drift."""
