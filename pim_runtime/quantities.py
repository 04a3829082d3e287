"""One number of a hardware profile: its value, unit, provenance and source, and the rule that it must obey.

Owns the check of a single entry. Which entries a machine has is said in `hardware`, what they are in `profiles/*.toml`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Literal, NamedTuple, Protocol, get_args

from .errors import ProfileError

__all__ = [
    "CallTimes",
    "Curve",
    "Integer",
    "Number",
    "Points",
    "Provenance",
    "Quantity",
    "Rule",
    "TimesTable",
    "Value",
    "checked_value",
    "quantity_from_entry",
]

Provenance = Literal["measured", "published", "derived", "assumed"]
Points = tuple[tuple[int, int], ...]


class CallTimes(NamedTuple):
    """Times of one call: a row of `times` for each number of DPUs, a column for each number of bytes per DPU."""

    dpus: tuple[int, ...]
    bytes_per_dpu: tuple[int, ...]
    times: tuple[tuple[Decimal, ...], ...]


Value = int | Decimal | Points | CallTimes

_ENTRY_KEYS = ("value", "unit", "provenance", "source")


class Rule(Protocol):
    """What values one key may have. `parse` returns the checked value, or raises ValueError whose text is the rule."""

    @property
    def unit(self) -> str: ...

    def parse(self, raw: object) -> Value: ...


@dataclass(frozen=True, slots=True)
class Integer:
    """A whole number of at least `at_least` and a multiple of `multiple_of`."""

    unit: str
    at_least: int = 0
    multiple_of: int = 1

    def parse(self, raw: object) -> int:
        if not isinstance(raw, int) or isinstance(raw, bool):
            raise ValueError(f"must be an integer, not {_kind(raw)}")
        if raw < self.at_least:
            raise ValueError(f"must be at least {self.at_least} {self.unit}")
        if raw % self.multiple_of:
            raise ValueError(f"must be a multiple of {self.multiple_of} {self.unit}")
        return raw


@dataclass(frozen=True, slots=True)
class Number:
    """An exact decimal number, not negative (`sign` "positive": not zero either), of at most `decimals` decimals."""

    unit: str
    decimals: int
    sign: Literal["positive", "not negative"] = "not negative"

    def parse(self, raw: object) -> Decimal:
        if not isinstance(raw, int | float | Decimal) or isinstance(raw, bool):
            raise ValueError(f"must be a number, not {_kind(raw)}")
        # The shortest text of a float is what its author wrote; its binary expansion is not.
        value = Decimal(str(raw))
        if not value.is_finite() or value < 0 or (self.sign == "positive" and value == 0):
            raise ValueError(f"must be finite and {self.sign}")
        if (Fraction(value) * 10**self.decimals).denominator != 1:
            raise ValueError(f"must have at most {self.decimals} decimals, so that time stays an integer")
        return value


@dataclass(frozen=True, slots=True)
class Curve:
    """Points (x, y) of whole numbers for linear interpolation: at least one, x rising, nothing negative."""

    unit: str

    def parse(self, raw: object) -> Points:
        if not isinstance(raw, Sequence) or isinstance(raw, str) or not raw:
            raise ValueError("must be a list of [x, y] pairs")
        points = tuple(_point(pair) for pair in raw)
        if not _rises([x for x, _ in points]):
            raise ValueError("must be sorted by its first column, each entry once")
        return points


@dataclass(frozen=True, slots=True)
class TimesTable:
    """Times by DPUs (rows) and bytes per DPU (columns), with a head row ["DPUs", bytes, bytes, ...].

    At least one row, which is for 1 DPU, and two columns, both rising. A time is positive and has at most 9 decimals;
    in a row none is below the first and the last is above the one before it, so that a call has a fixed cost and a
    bandwidth beyond the table.
    """

    unit: str

    def parse(self, raw: object) -> CallTimes:
        if isinstance(raw, CallTimes):
            return raw
        if not isinstance(raw, list) or len(raw) < 2 or not all(isinstance(row, list) for row in raw):
            raise ValueError('must be a list of rows, the first of which is ["DPUs", bytes per DPU, ...]')
        (corner, *sizes), *rows = raw
        if corner != "DPUs" or any(len(row) != 1 + len(sizes) for row in rows):
            raise ValueError('must start with a row ["DPUs", bytes per DPU, ...], and all rows must be as long')
        bytes_per_dpu = tuple(Integer("bytes", at_least=1).parse(size) for size in sizes)
        dpus = tuple(Integer("DPUs", at_least=1).parse(row[0]) for row in rows)
        if len(sizes) < 2 or dpus[0] != 1 or not (_rises(dpus) and _rises(bytes_per_dpu)):
            raise ValueError("must have rising DPUs that start at 1, and at least two rising sizes")
        number = Number(self.unit, 9, "positive")
        times = tuple(tuple(number.parse(time) for time in row[1:]) for row in rows)
        if any(min(row) < row[0] or row[-2] >= row[-1] for row in times):
            raise ValueError("must have no time below the first of its row, and a last one above the one before it")
        return CallTimes(dpus, bytes_per_dpu, times)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """One checked entry of a profile. `key` is dotted, as in "pipeline.clock_mhz"."""

    key: str
    value: Value
    unit: str
    provenance: Provenance
    source: str


def checked_value(rule: Rule, *, file: str, key: str, raw: object) -> Value:
    """`raw` as a value of `key`. Raises ProfileError where it breaks the rule."""
    try:
        return rule.parse(raw)
    except ValueError as broken:
        raise ProfileError(f"{file}, {key}: value {raw!s} [{rule.unit}] {broken}. Change the value.") from None


def quantity_from_entry(rule: Rule, *, file: str, key: str, entry: object) -> Quantity:
    """The quantity of one profile entry, a table of exactly value, unit, provenance and source.

    Raises ProfileError for any other shape, an empty source, an unknown provenance, another unit, a refused value.
    """
    if not isinstance(entry, dict):
        raise ProfileError(
            f"{file}, {key} = {entry!s}: a value without unit, provenance and source is refused. "
            f"Write a table [{key}] with the keys {', '.join(_ENTRY_KEYS)}."
        )
    for name in _ENTRY_KEYS:
        if name not in entry:
            raise ProfileError(f"{file}, {key}: has no {name}, and every value needs one. Add `{name} = ...`.")
    for name in entry:
        if name not in _ENTRY_KEYS:
            raise ProfileError(
                f"{file}, {key}: unknown key {name!r}; an entry has {', '.join(_ENTRY_KEYS)}. Remove it."
            )
    unit, provenance, source = entry["unit"], entry["provenance"], entry["source"]
    if unit != rule.unit:
        raise ProfileError(
            f"{file}, {key}: unit {unit!r}, but the unit of this key is {rule.unit!r}. "
            f"Convert the value and write unit = {rule.unit!r}."
        )
    if provenance not in get_args(Provenance):
        raise ProfileError(
            f"{file}, {key}: provenance {provenance!r} is not one of {', '.join(get_args(Provenance))}. "
            f"Use one of them."
        )
    if not isinstance(source, str) or not source.strip():
        raise ProfileError(
            f"{file}, {key}: source {source!r}, but every value names where it comes from. "
            f"Cite the measurement, document or derivation."
        )
    value = checked_value(rule, file=file, key=key, raw=entry["value"])
    return Quantity(key=key, value=value, unit=unit, provenance=provenance, source=source)


def _point(pair: object) -> tuple[int, int]:
    if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != 2:
        raise ValueError("must be a list of [x, y] pairs")
    x, y = (Integer("").parse(number) for number in pair)
    return x, y


def _rises(numbers: Sequence[int]) -> bool:
    return all(before < after for before, after in pairwise(numbers))


def _kind(raw: object) -> str:
    return {
        Decimal: "a decimal",
        float: "a decimal",
        bool: "a boolean",
        str: "a string",
        list: "a list",
        dict: "a table",
    }.get(type(raw), type(raw).__name__)
