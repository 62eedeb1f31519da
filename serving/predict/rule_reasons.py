"""Reasons of a baseline: the comparisons in its expression, each with its result."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from noria.core.use_case.rule import Rule


@lru_cache(maxsize=64)
def fields_read(expression: str) -> tuple[str, ...]:
    """The fields that an expression reads, in the order in which it names them."""
    known = Rule(expression).names
    nodes = (node for node in ast.walk(ast.parse(expression, mode="eval")) if isinstance(node, ast.Name))
    in_order = sorted(nodes, key=lambda node: (node.lineno, node.col_offset))
    return tuple(dict.fromkeys(node.id for node in in_order if node.id in known))


def part_of(expression: str, field: str, row: Mapping[str, Any]) -> str:
    """Part of a field in the baseline, such as `in the baseline "hour >= 18" holds`."""
    tests = [test for test in _comparisons(expression) if field in test.names]
    results = [f'"{test.expression}" {"holds" if _holds(test, row) else "does not hold"}' for test in tests]
    return f"in the baseline {', '.join(results)}" if results else f'the baseline "{expression}" reads it'


def _holds(test: Rule, row: Mapping[str, Any]) -> bool:
    """Whether a comparison holds; False if its values cannot be compared, since the baseline may never have reached it."""
    try:
        return test.value(row) is True
    except (ArithmeticError, TypeError, ValueError):
        return False


@lru_cache(maxsize=64)
def _comparisons(expression: str) -> tuple[Rule, ...]:
    tree = ast.walk(ast.parse(expression, mode="eval"))
    return tuple(Rule(ast.unparse(node)) for node in tree if isinstance(node, ast.Compare))
