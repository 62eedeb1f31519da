"""Why a rule decided as it did: the comparisons it made, each with what came of it."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from noria.core.use_case.rule import Rule


@lru_cache(maxsize=64)
def fields_read(expression: str) -> tuple[str, ...]:
    """The fields that a rule reads, in the order in which it names them."""
    known = Rule(expression).names
    found = (node for node in ast.walk(ast.parse(expression, mode="eval")) if isinstance(node, ast.Name))
    in_order = sorted(found, key=lambda node: (node.lineno, node.col_offset))
    return tuple(dict.fromkeys(node.id for node in in_order if node.id in known))


def what_came_of(expression: str, field: str, row: Mapping[str, Any]) -> str:
    """What the rule did with a field, such as `"hour >= 18" holds`."""
    tests = [test for test in _comparisons(expression) if field in test.names]
    told = [f'"{test.expression}" {"holds" if _holds(test, row) else "does not hold"}' for test in tests]
    return f"in today's rule {', '.join(told)}" if told else f'today\'s rule "{expression}" reads it'


def _holds(test: Rule, row: Mapping[str, Any]) -> bool:
    """The rule itself may never have come to this test, so that its values may be of kinds that cannot be compared."""
    try:
        return test.value(row) is True
    except (ArithmeticError, TypeError, ValueError):
        return False


@lru_cache(maxsize=64)
def _comparisons(expression: str) -> tuple[Rule, ...]:
    tree = ast.walk(ast.parse(expression, mode="eval"))
    return tuple(Rule(ast.unparse(node)) for node in tree if isinstance(node, ast.Compare))
