"""What constants and widths come out of operations, casts and builtins."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from ..device.integers import IntegerType
from .values import BOOL, INDEX_BITS, INT, Int, Known, RangeOf, Value, ViewOf, constant

__all__ = ["BUILTINS", "OPERATORS", "cast", "folded", "needed_bits", "value_of"]

OPERATORS: Mapping[type[ast.AST], Callable[..., Any]] = MappingProxyType(
    {
        ast.Add: operator.add,
        ast.Sub: operator.sub,
        ast.Mult: operator.mul,
        ast.FloorDiv: operator.floordiv,
        ast.Mod: operator.mod,
        ast.Pow: operator.pow,
        ast.LShift: operator.lshift,
        ast.RShift: operator.rshift,
        ast.BitAnd: operator.and_,
        ast.BitOr: operator.or_,
        ast.BitXor: operator.xor,
        ast.Eq: operator.eq,
        ast.NotEq: operator.ne,
        ast.Lt: operator.lt,
        ast.LtE: operator.le,
        ast.Gt: operator.gt,
        ast.GtE: operator.ge,
        ast.Is: operator.is_,
        ast.IsNot: operator.is_not,
        ast.USub: operator.neg,
        ast.UAdd: operator.pos,
        ast.Invert: operator.invert,
        ast.Not: operator.not_,
    }
)


def value_of(value: Any) -> Value:
    """What a Python object is to a kernel that names it."""
    if isinstance(value, int) and not isinstance(value, type):
        return constant(int(value))
    return Known(value)


def folded(op: ast.operator, a: int, b: int) -> Value:
    """An operation on two constants."""
    try:
        return constant(int(OPERATORS[type(op)](a, b)))
    except (ArithmeticError, ValueError):  # it faults when it runs
        return INT


def needed_bits(op: ast.operator, a: Int, b: Int) -> int:
    """Bits that a result can need, sign included."""
    widest = max(a.needed_bits, b.needed_bits)
    if isinstance(op, ast.Add | ast.Sub):
        return widest + 1
    if isinstance(op, ast.Mult | ast.Pow):
        return a.needed_bits + b.needed_bits
    if isinstance(op, ast.LShift):
        return a.needed_bits + (b.constant if b.constant is not None else 31)
    if isinstance(op, ast.RShift):
        return max(2, a.needed_bits - (b.constant or 0))
    masks = [value.needed_bits for value in (a, b) if value.constant is not None and value.constant >= 0]
    return min(masks) if isinstance(op, ast.BitAnd) and masks else widest


def cast(kind: IntegerType, value: Value) -> Value:
    """A value cast to a type: not clean where bits above the type may be set."""
    if isinstance(value, Int) and value.constant is not None:
        return Int(kind.bits, kind.bits, kind.signed, constant=kind(value.constant))
    source = value if isinstance(value, Int) else INT
    fits = source.needed_bits + (source.signed and not kind.signed) <= kind.bits + (not kind.signed)
    clean = kind.bits >= 32 or (fits and source.clean)
    return Int(kind.bits, min(source.needed_bits, kind.bits + (not kind.signed)), kind.signed, clean=clean)


def _range(arguments: list[Value]) -> Value:
    numbers = [value.constant if isinstance(value, Int) else None for value in arguments]
    fixed = [number for number in numbers if number is not None]
    if len(fixed) < len(numbers) or fixed[2:] == [0]:
        return RangeOf()
    numbers_of = range(*fixed)
    return RangeOf(len(numbers_of), numbers_of[0] if len(numbers_of) == 1 else None)


def _length(arguments: list[Value]) -> Value:
    view = arguments[0]
    return constant(view.length) if isinstance(view, ViewOf) and view.length is not None else Int(32, INDEX_BITS)


def _extreme(choose: Callable[[list[int]], int]) -> Callable[[list[Value]], Value]:
    def result(arguments: list[Value]) -> Value:
        values = [value if isinstance(value, Int) else INT for value in arguments]
        fixed = [value.constant for value in values if value.constant is not None]
        if len(fixed) == len(values):
            return constant(choose(fixed))
        return Int(
            max(32, *(value.bits for value in values)),
            max(value.needed_bits for value in values),
            any(value.signed for value in values),
        )

    return result


def _absolute(arguments: list[Value]) -> Value:
    value = arguments[0] if isinstance(arguments[0], Int) else INT
    return constant(abs(value.constant)) if value.constant is not None else Int(max(32, value.bits), value.needed_bits)


BUILTINS: Mapping[Any, Callable[[list[Value]], Value]] = MappingProxyType(
    {
        range: _range,
        len: _length,
        min: _extreme(min),
        max: _extreme(max),
        abs: _absolute,
        int: lambda arguments: arguments[0] if isinstance(arguments[0], Int) else INT,
        bool: lambda arguments: BOOL,
    }
)
