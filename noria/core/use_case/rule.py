"""A one-line expression over features: the baseline that version 0 serves, or the anchor of a regression.

It is a small, safe subset of Python expressions: feature names, numbers, strings, comparisons, ``and or not``,
``+ - * /``, ``in (...)``, ``a if condition else b`` and ``first(a, b, ...)``, which is the first of its values that is not
missing. It is parsed, never evaluated as code. A comparison with a missing value is false, and so is a missing condition.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from noria.core.base.errors import RuleError

_FIRST = "first"
_Evaluate = Callable[[Mapping[str, Any]], Any]
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float | np.floating) and math.isnan(value))


@dataclass(frozen=True)
class Rule:
    """A parsed expression over features: the baseline, or the anchor of a number.

    Raises:
        RuleError: when built from a text that is not in the subset above.

    Example:
        >>> rule = Rule("hour >= 18 and depot in ('north', 'harbour')")
        >>> rule.reads
        ('hour', 'depot')
        >>> rule.value({"hour": 19, "depot": "north"}), rule.value({"depot": "north"})
        (True, False)
    """

    expression: str

    def __post_init__(self) -> None:
        self._evaluate  # noqa: B018 - parse now, so that a wrong rule fails where it is written

    @cached_property
    def names(self) -> frozenset[str]:
        """The features that the expression reads."""
        return frozenset(self.reads)

    @cached_property
    def reads(self) -> tuple[str, ...]:
        """The features that the expression reads, in the order in which it names them first."""
        found = [node for node in ast.walk(self._tree) if isinstance(node, ast.Name)]
        found.sort(key=lambda node: (node.lineno, node.col_offset))
        return tuple(dict.fromkeys(node.id for node in found if node.id != _FIRST or not self._calls_first))

    @property
    def outcomes(self) -> tuple[Any, ...]:
        """Every value that the expression can end in, where it is written in it; None for one that is computed."""
        return tuple(_outcomes(self._tree))

    def value(self, row: Mapping[str, Any]) -> Any:
        """Value of the expression for a row: True or False, a text, a number, or None where what it needs is missing."""
        return self._evaluate(row)

    def values(self, columns: Mapping[str, Sequence[Any]], rows: int) -> list[Any]:
        """Values of the expression for many rows given as equally long columns."""
        if not self.reads:
            return [self.value({})] * rows
        # Plain numbers, as a single row has them: NumPy's divide by zero without an error.
        read = (columns[name] for name in self.reads)
        plain = [values.tolist() if hasattr(values, "tolist") else values for values in read]
        return [self.value(dict(zip(self.reads, row, strict=True))) for row in zip(*plain, strict=True)]

    @cached_property
    def _calls_first(self) -> bool:
        calls = (node.func for node in ast.walk(self._tree) if isinstance(node, ast.Call))
        return any(isinstance(called, ast.Name) and called.id == _FIRST for called in calls)

    @cached_property
    def _tree(self) -> ast.expr:
        try:
            return ast.parse(self.expression, mode="eval").body
        except SyntaxError as error:
            raise RuleError(f"{self.expression!r} is not an expression: {error.msg} at character {error.offset}") from error

    @cached_property
    def _evaluate(self) -> _Evaluate:
        return _compile(self._tree, self.expression)


def _compile(node: ast.expr, text: str) -> _Evaluate:  # noqa: PLR0911 - one return per kind of node
    match node:
        case ast.Constant(value=bool() | int() | float() | str() as value):
            return lambda _row: value
        case ast.Name(id=name):
            return lambda row: row.get(name)
        case ast.BoolOp(op=op, values=values):
            parts = [_compile(value, text) for value in values]
            combine = all if isinstance(op, ast.And) else any
            return lambda row: combine(part(row) is True for part in parts)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            inner = _compile(operand, text)
            return lambda row: inner(row) is not True
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            inner = _compile(operand, text)
            return lambda row: None if _is_missing(value := inner(row)) else -value
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
            return _arithmetic(_ARITHMETIC[type(op)], _compile(left, text), _compile(right, text))
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            return _comparison(left, ops, comparators, text)
        case ast.IfExp(test=test, body=body, orelse=other):
            condition, yes, no = (_compile(part, text) for part in (test, body, other))
            return lambda row: yes(row) if condition(row) is True else no(row)
        case ast.Call(func=ast.Name(id="first"), args=values, keywords=[]) if values:
            choices = [_compile(value, text) for value in values]
            return lambda row: next((v for choice in choices if not _is_missing(v := choice(row))), None)
    raise RuleError(
        f"{text!r}: {ast.unparse(node)!r} is not allowed in a rule; use feature names, numbers, strings, "
        "comparisons, and/or/not, + - * /, in (...), a if condition else b, and first(a, b, ...)"
    )


def _outcomes(node: ast.expr) -> Iterator[Any]:
    match node:
        case ast.IfExp(body=body, orelse=other):
            yield from (*_outcomes(body), *_outcomes(other))
        case ast.Call(args=values):
            for value in values:
                yield from _outcomes(value)
        case ast.Constant(value=value):
            yield value
        case _:
            yield None


def _arithmetic(apply: Callable[[Any, Any], Any], left: _Evaluate, right: _Evaluate) -> _Evaluate:
    def evaluate(row: Mapping[str, Any]) -> Any:
        a, b = left(row), right(row)
        if _is_missing(a) or _is_missing(b):
            return None
        try:
            return apply(a, b)
        except ZeroDivisionError:
            return None

    return evaluate


def _comparison(left: ast.expr, ops: list[ast.cmpop], comparators: list[ast.expr], text: str) -> _Evaluate:
    if any(isinstance(op, ast.In | ast.NotIn) for op in ops):
        return _membership(left, ops, comparators, text)
    tests = [_COMPARE.get(type(op)) for op in ops]
    if None in tests:
        raise RuleError(f"{text!r}: only < <= > >= == != in can compare")
    operands = [_compile(operand, text) for operand in (left, *comparators)]

    def evaluate(row: Mapping[str, Any]) -> bool:
        values = [operand(row) for operand in operands]
        if any(_is_missing(value) for value in values):
            return False
        return all(test(a, b) for test, a, b in zip(tests, values, values[1:], strict=False) if test)

    return evaluate


def _membership(left: ast.expr, ops: list[ast.cmpop], comparators: list[ast.expr], text: str) -> _Evaluate:
    match ops, comparators:
        case [ast.In() | ast.NotIn() as op], [ast.Tuple(elts=elements) | ast.List(elts=elements)]:
            if not all(isinstance(element, ast.Constant) for element in elements):
                raise RuleError(f"{text!r}: the values after 'in' must be constants")
            members = frozenset(element.value for element in elements if isinstance(element, ast.Constant))
            value_of, wanted = _compile(left, text), isinstance(op, ast.In)
            return lambda row: not _is_missing(value := value_of(row)) and (value in members) is wanted
    raise RuleError(f"{text!r}: write membership as feature in ('A', 'B')")
