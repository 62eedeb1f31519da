"""Fakes, builders and contract suites for tests."""
