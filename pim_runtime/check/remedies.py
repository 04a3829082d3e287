"""What findings about the order of tasklets say in the end: why it may be, and what to do."""

from __future__ import annotations

from collections.abc import Collection

__all__ = ["any_order", "known_race"]


def known_race(races: Collection[str], symbol: str) -> str:
    """A half-sentence that names the race that may be behind a difference of `symbol`, if there is one."""
    if not races:
        return ""
    return f", which the race on {(symbol if symbol in races else min(races))!r} explains (see there)"


def any_order(symbol: str) -> str:
    """What to do if the difference is meant."""
    return f"if every order gives a right result, say so: Check(unordered=({symbol!r},))"
