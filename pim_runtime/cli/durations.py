"""Times as people write them, such as 30ms, for options."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType

__all__ = ["duration_s", "overhead_s", "shown_s"]

_WRITTEN = re.compile(r"(\d+(?:\.\d+)?(?:[eE][+-]?\d{1,2})?)\s*(s|ms|us|ns)?")
_SECONDS: Mapping[str, Decimal] = MappingProxyType(
    {"s": Decimal(1), "ms": Decimal("1e-3"), "us": Decimal("1e-6"), "ns": Decimal("1e-9")}
)


def duration_s(text: str) -> float:
    """Seconds of a text such as "30ms", "100us" or "0.03"; without a unit it is in seconds.

    Raises argparse.ArgumentTypeError for what is no time above 0.
    """
    seconds = _exact_s(text)
    if not seconds:
        raise argparse.ArgumentTypeError(f"{text!r}: must be a time above 0, such as 30ms, 100us or 0.03")
    return float(seconds)


def overhead_s(text: str) -> Decimal:
    """The same for a time that may be 0, exact, as profiles state it.

    Raises argparse.ArgumentTypeError for what is no time, and for a negative one.
    """
    seconds = _exact_s(text)
    if seconds is None:
        raise argparse.ArgumentTypeError(f"{text!r}: must be a time, such as 0, 100us or 1e-4")
    return seconds


def _exact_s(text: str) -> Decimal | None:
    written = _WRITTEN.fullmatch(text.strip())
    return Decimal(written[1]) * _SECONDS[written[2] or "s"] if written else None


def shown_s(seconds: float) -> str:
    """Seconds for people, in the unit that leaves three digits before the point at most.

    >>> shown_s(0.03), shown_s(1.5), shown_s(2.5e-7)
    ('30 ms', '1.5 s', '250 ns')
    """
    unit = next((unit for unit, size in _SECONDS.items() if seconds >= size), "ns")
    return f"{seconds / float(_SECONDS[unit]):.4g} {unit}"
