"""Times as people write them, such as 30ms, for options."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from fractions import Fraction
from types import MappingProxyType

__all__ = ["duration_s", "shown_s"]

_WRITTEN = re.compile(r"(\d+(?:\.\d+)?(?:[eE][+-]?\d{1,2})?)\s*(s|ms|us|ns)?")
_SECONDS: Mapping[str, Fraction] = MappingProxyType(
    {"s": Fraction(1), "ms": Fraction(1, 10**3), "us": Fraction(1, 10**6), "ns": Fraction(1, 10**9)}
)


def duration_s(text: str) -> float:
    """Seconds of a text such as "30ms", "100us" or "0.03"; without a unit it is in seconds.

    Raises argparse.ArgumentTypeError for what is no time above 0.
    """
    written = _WRITTEN.fullmatch(text.strip())
    seconds = Fraction(written[1]) * _SECONDS[written[2] or "s"] if written else Fraction(0)
    if not seconds:
        raise argparse.ArgumentTypeError(f"{text!r}: must be a time above 0, such as 30ms, 100us or 0.03")
    return float(seconds)


def shown_s(seconds: float) -> str:
    """Seconds for people, in the unit that leaves three digits before the point at most.

    >>> shown_s(0.03), shown_s(1.5), shown_s(2.5e-7)
    ('30 ms', '1.5 s', '250 ns')
    """
    unit = next((unit for unit, size in _SECONDS.items() if seconds >= size), "ns")
    return f"{seconds / float(_SECONDS[unit]):.4g} {unit}"
