"""Folders that benchmarks read and write."""

from __future__ import annotations

from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
"""The root of the repository."""
CACHE = PROJECT / ".benchmarks"
"""What is made or installed once and used again by later runs."""
