"""Faults in training and promotion: what is lost, and what a retry does."""
