"""What the analysis knows about a value of a kernel: its C type, and the value itself where that is a constant.

Plain Python integers have no width of their own. Here they are C's `int`, as in the program that a DPU would run; what
was loaded from or cast to a narrower or 64-bit type keeps that type.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from ..device.integers import IntegerType

__all__ = ["BOOL", "INT", "Int", "Known", "RangeOf", "TupleOf", "Value", "ViewOf", "constant", "join", "of_kind"]


@dataclass(frozen=True, slots=True)
class Int:
    """An integer.

    bits: of its C type. needed_bits: that its value can need, sign included. constant: its value, if fixed.
    clean: False where the register may hold garbage above the type's bits, as after an addition of 16-bit values.
    """

    bits: int
    needed_bits: int
    signed: bool = True
    constant: int | None = None
    clean: bool = True


@dataclass(frozen=True, slots=True)
class ViewOf:
    """A view of elements of `kind`; `length` if fixed."""

    kind: IntegerType
    length: int | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """Anything that is no integer but known at compile time: a symbol, type, function, tasklet, enum, named tuple."""

    value: Any


@dataclass(frozen=True, slots=True)
class RangeOf:
    """A range; `count` iterations if fixed, and the `only` number of a range of one: that is no loop at all."""

    count: int | None = None
    only: int | None = None


@dataclass(frozen=True, slots=True)
class TupleOf:
    """Several values, as in `a, b = b, a`."""

    parts: tuple[Value, ...]


Value: TypeAlias = Int | ViewOf | Known | RangeOf | TupleOf

INDEX_BITS = 26  # that an index, length or address needs: MRAM has 2^26 bytes
INT = Int(32, 32)
BOOL = Int(8, 2, signed=False)


def constant(number: int) -> Int:
    """The type of a literal: int, or 64 bits where that is too small."""
    needed = number.bit_length() + 1
    return Int(32 if needed <= 33 else 64, needed, constant=int(number))


def of_kind(kind: IntegerType, *, clean: bool = True) -> Int:
    """A value that was loaded from or cast to a type."""
    return Int(kind.bits, kind.bits + (not kind.signed), kind.signed, clean=clean)


def join(a: Value | None, b: Value | None) -> Value:
    """The type of a variable that is assigned both. One of them may be missing."""
    if a is None or b is None or a == b:
        known = b if a is None else a
        assert known is not None
        return known
    if isinstance(a, Int) and isinstance(b, Int):
        return Int(
            bits=max(a.bits, b.bits) if _literal(a) and _literal(b) else max(_bits(a), _bits(b)),
            needed_bits=max(a.needed_bits, b.needed_bits),
            signed=a.signed or b.signed,
            constant=a.constant if a.constant == b.constant else None,
            clean=a.clean and b.clean,
        )
    if isinstance(a, ViewOf) and isinstance(b, ViewOf) and a.kind == b.kind:
        return ViewOf(a.kind, a.length if a.length == b.length else None)
    if isinstance(a, RangeOf) and isinstance(b, RangeOf):
        return RangeOf()
    if isinstance(a, TupleOf) and isinstance(b, TupleOf) and len(a.parts) == len(b.parts):
        return TupleOf(tuple(join(x, y) for x, y in zip(a.parts, b.parts, strict=True)))
    return INT


def _literal(value: Int) -> bool:
    return value.constant is not None and value.bits == 32


def _bits(value: Int) -> int:
    """A literal adapts to what it is used with: 0 does not make an accumulator of 16 bits wider."""
    return 8 if _literal(value) else value.bits
