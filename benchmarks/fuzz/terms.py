"""Integer expressions in two languages at once: a Term is kernel Python, the C that means the same, and its range.

A value of a kernel is a signed 64-bit integer, and a result that does not fit is undefined (device/integers.py). So
every term knows the range that it lies in, and what may leave 64 bits stands inside a cast, which is always defined.
C leaves the order of operands open and Python does not: operands of C terms are statements of their own.
"""

from __future__ import annotations

import operator as python_operators
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType

from pim_runtime.device import IntegerType, int8, int16, int32, int64, uint8, uint16, uint32, uint64

__all__ = [
    "KINDS",
    "LARGEST",
    "SMALLEST",
    "Term",
    "all_or_any",
    "arithmetic",
    "binary",
    "cast",
    "chain",
    "choose",
    "compare",
    "contained",
    "extreme",
    "fits",
    "literal",
    "number",
    "range_of",
    "unary",
]

KINDS = (int8, int16, int32, int64, uint8, uint16, uint32, uint64)
SMALLEST, LARGEST = -(1 << 63), (1 << 63) - 1
EXACT = MappingProxyType(
    {
        "+": python_operators.add,
        "-": python_operators.sub,
        "*": python_operators.mul,
        "//": python_operators.floordiv,
        "%": python_operators.mod,
        "&": python_operators.and_,
        "|": python_operators.or_,
        "^": python_operators.xor,
        "<<": python_operators.lshift,
        ">>": python_operators.rshift,
    }
)


@dataclass(frozen=True, slots=True)
class Term:
    """An expression. `low` and `high` enclose its value; `truth` is set where Python may have a bool."""

    python: str
    c: str
    low: int = SMALLEST
    high: int = LARGEST
    truth: bool = False


def range_of(kind: IntegerType) -> tuple[int, int]:
    """Smallest and largest value that a kernel sees in a type; a uint64 is carried as a signed pattern."""
    if kind.bits == 64:
        return SMALLEST, LARGEST
    return (-(1 << kind.bits - 1), (1 << kind.bits - 1) - 1) if kind.signed else (0, (1 << kind.bits) - 1)


def fits(term: Term, low: int, high: int) -> bool:
    """Whether every value of the term lies in a range."""
    return low <= term.low and term.high <= high


def literal(value: int) -> Term:
    """An integer constant."""
    c = "(-INT64_C(9223372036854775807) - 1)" if value == SMALLEST else f"(INT64_C({value}))"
    return Term(f"({value})" if value < 0 else str(value), c, value, value)


def number(term: Term) -> Term:
    """The term as an integer where Python may have a bool: `~` of a bool is deprecated, so it is never asked for."""
    return Term(f"int({term.python})", term.c, term.low, term.high) if term.truth else term


def cast(kind: IntegerType, term: Term) -> Term:
    """`kind(term)`."""
    low, high = (term.low, term.high) if fits(term, *range_of(kind)) else range_of(kind)
    return Term(f"{kind}({term.python})", f"((int64_t)({kind}_t)({term.c}))", low, high)


def contained(term: Term, kind: IntegerType) -> Term:
    """The term, cast to `kind` where it may lie outside."""
    return number(term) if fits(term, *range_of(kind)) else cast(kind, term)


def unary(operator: str, term: Term) -> Term:
    """`-x`, `~x`, `abs(x)` or `not x`. The first and third may leave 64 bits."""
    term = number(term)
    if operator == "not":
        return Term(f"(not {term.python})", f"(!{term.c})", 0, 1, truth=True)
    if operator == "abs":
        low = max(0, term.low, -term.high)
        c = f"({{ int64_t x_ = {term.c}; x_ < 0 ? -x_ : x_; }})"
        return Term(f"abs({term.python})", c, low, max(-term.low, term.high))
    ends = (-term.high, -term.low) if operator == "-" else (~term.high, ~term.low)
    return Term(f"({operator}{term.python})", f"({operator}{term.c})", *ends)


def binary(operator: str, left: Term, right: Term) -> Term:
    """`left operator right` for `+ - * // % & | ^ << >>`; may leave 64 bits.

    A shift count lies in 0 to 63. A divisor whose range has 0 in it may fault.
    """
    c = {"//": "floor_quotient(l_, r_, __LINE__)", "%": "floor_remainder(l_, r_, __LINE__)"}.get(
        operator, f"l_ {operator} r_"
    )
    text = f"({left.python} {operator} {right.python})"
    return Term(text, _in_order(left, right, c), *_range_of_result(operator, left, right))


def compare(operator: str, left: Term, right: Term) -> Term:
    """`left < right` and the like."""
    c = _in_order(left, right, f"l_ {operator} r_")
    return Term(f"({left.python} {operator} {right.python})", c, 0, 1, truth=True)


def chain(operators: tuple[str, str], a: Term, b: Term, c: Term) -> Term:
    """`a < b < c`: b is evaluated once, c only when the first comparison holds."""
    first, second = operators
    then = f"l_ {first} r_ && ({{ int64_t l2_ = r_; int64_t r2_ = {c.c}; l2_ {second} r2_; }})"
    text = f"({a.python} {first} {b.python} {second} {c.python})"
    return Term(text, _in_order(a, b, then), 0, 1, truth=True)


def all_or_any(operator: str, left: Term, right: Term) -> Term:
    """`left and right`, `left or right`: the value of one of them."""
    kept = "l_ ? {0} : l_" if operator == "and" else "l_ ? l_ : {0}"
    c = f"({{ int64_t l_ = {left.c}; {kept.format(right.c)}; }})"
    text = f"({left.python} {operator} {right.python})"
    low, high = min(left.low, right.low), max(left.high, right.high)
    return Term(text, c, min(low, 0), max(high, 0), truth=left.truth or right.truth)


def choose(condition: Term, then: Term, otherwise: Term) -> Term:
    """`then if condition else otherwise`."""
    text = f"({then.python} if {condition.python} else {otherwise.python})"
    c = f"({condition.c} ? {then.c} : {otherwise.c})"
    low, high = min(then.low, otherwise.low), max(then.high, otherwise.high)
    return Term(text, c, low, high, truth=then.truth or otherwise.truth)


def extreme(name: str, left: Term, right: Term) -> Term:
    """`min(left, right)` or `max(left, right)`."""
    left, right = number(left), number(right)
    pick: Callable[[int, int], int] = min if name == "min" else max
    c = _in_order(left, right, f"l_ {'<' if name == 'min' else '>'} r_ ? l_ : r_")
    return Term(f"{name}({left.python}, {right.python})", c, pick(left.low, right.low), pick(left.high, right.high))


def arithmetic(name: str, kind: IntegerType, *operands: Term) -> Term:
    """A function of `device.arith`, such as `add(kind, a, b)` or `clz(kind, a)`."""
    low, high = {"clz": (0, kind.bits), "popcount": (0, kind.bits), "less": (0, 1)}.get(name, range_of(kind))
    text = f"{name}({kind}, {', '.join(operand.python for operand in operands)})"
    names = ("l_", "r_")[: len(operands)]
    values = "".join(f"int64_t {x} = {operand.c}; " for x, operand in zip(names, operands, strict=True))
    line = ", __LINE__" if name in ("div", "rem") else ""
    return Term(text, f"({{ {values}{name}_{kind}({', '.join(names)}{line}); }})", low, high, truth=name == "less")


def _in_order(left: Term, right: Term, result: str) -> str:
    return f"({{ int64_t l_ = {left.c}; int64_t r_ = {right.c}; {result}; }})"


def _range_of_result(operator: str, left: Term, right: Term) -> tuple[int, int]:
    if left.low == left.high and right.low == right.high and (right.low or operator not in ("//", "%")):
        result = EXACT[operator](left.low, right.low)
        return result, result
    if operator in ("&", "|", "^"):
        return _range_of_bits(operator, left, right)
    if operator == "%":
        return min(0, right.low + 1), max(0, right.high - 1)
    rights = {right.low, right.high}
    if operator == "//":  # the quotient is largest beside 0
        rights |= {divisor for divisor in (-1, 1) if right.low <= divisor <= right.high}
        rights.discard(0)
    corners = [EXACT[operator](a, b) for a in (left.low, left.high) for b in rights] or [0]
    return min(corners), max(corners)


def _range_of_bits(operator: str, left: Term, right: Term) -> tuple[int, int]:
    if operator == "&" and (left.low >= 0 or right.low >= 0):
        return 0, min(end for end, low in ((left.high, left.low), (right.high, right.low)) if low >= 0)
    bits = max(abs(end).bit_length() for end in (left.low, left.high, right.low, right.high))
    low = 0 if left.low >= 0 and right.low >= 0 else -(1 << bits)
    return max(low, SMALLEST), min((1 << bits) - 1, LARGEST)
