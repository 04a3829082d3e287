"""What something costs: a tree of named parts, each with its time, its traffic, its energy and what bounds it (U-8).

Owns how parts become a whole: one after the other, or overlapped by the rule of a schedule. Seconds are a unit of
reports; the emulated machine keeps integer time of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

__all__ = ["Bound", "Cost", "EnergyOrigin", "averaged", "in_sequence", "overlapped", "repeated"]

Bound = Literal["compute", "unit bandwidth", "link bandwidth", "link latency", "controller"]
"""What a part takes its time for: operations, memory of the units, bytes on the link, transfers, the controller."""

EnergyOrigin = Literal["modelled", "unknown"]
"""Whether the profiles of a machine have what the energy of a step needs; joules of an unknown one lack parts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """A part, or a whole of `parts`.

    seconds: how long it takes. bound_by: what for; of a whole, that of its longest leaf.
    moved_bytes, transfers, operations, joules: of the leaves, added up, whatever overlaps.
    overlap: how the seconds of a whole follow from those of its parts; empty where they add up.
    """

    name: str
    seconds: float
    bound_by: Bound
    moved_bytes: float = 0
    transfers: int = 0
    operations: float = 0
    joules: float = 0
    parts: tuple[Cost, ...] = ()
    overlap: str = ""

    @property
    def leaves(self) -> Iterator[Cost]:
        """The parts that have no parts, in order."""
        if not self.parts:
            yield self
        for part in self.parts:
            yield from part.leaves

    @property
    def outline(self) -> Iterator[tuple[int, Cost]]:
        """Itself and all its parts, in order, each with its depth; its own is 0."""
        yield 0, self
        for part in self.parts:
            yield from ((depth + 1, inner) for depth, inner in part.outline)

    def part(self, *names: str) -> Cost:
        """The part of this name, and of its parts the one of the next name, and so on.

        Raises KeyError with the names there are.
        """
        found = self
        for name in names:
            inner = {part.name: part for part in found.parts}
            if name not in inner:
                raise KeyError(f"{found.name!r} has no part {name!r}, it has {', '.join(inner) or 'none'}")
            found = inner[name]
        return found

    def seconds_by(self, bound: Bound) -> float:
        """Seconds of the leaves that are bound by this, whatever overlaps."""
        return sum(leaf.seconds for leaf in self.leaves if leaf.bound_by == bound)


def in_sequence(name: str, parts: Sequence[Cost]) -> Cost:
    """Parts one after the other. Raises ValueError for none."""
    return _whole(name, parts, sum(part.seconds for part in parts), "")


def overlapped(name: str, parts: Sequence[Cost], *, seconds: float, rule: str) -> Cost:
    """Parts that overlap, by a rule that gives the seconds of the whole. Raises ValueError for none."""
    return _whole(name, parts, seconds, rule)


def repeated(cost: Cost, times: int) -> Cost:
    """The same, `times` times one after the other: everything is multiplied, in all parts."""
    return Cost(
        name=cost.name,
        seconds=cost.seconds * times,
        bound_by=cost.bound_by,
        moved_bytes=cost.moved_bytes * times,
        transfers=cost.transfers * times,
        operations=cost.operations * times,
        joules=cost.joules * times,
        parts=tuple(repeated(part, times) for part in cost.parts),
        overlap=cost.overlap,
    )


def averaged(costs: Sequence[Cost]) -> Cost:
    """The mean of several runs of the same thing, part by part; names, bounds and rules are those of the last.

    Raises ValueError for none, and for trees of different shapes.
    """
    if not costs:
        raise ValueError("no costs to average: give at least one")
    if len({tuple(part.name for part in cost.parts) for cost in costs}) > 1:
        raise ValueError(f"cost {costs[-1].name!r}: trees of different parts have no mean")
    return Cost(
        name=costs[-1].name,
        seconds=fmean(cost.seconds for cost in costs),
        bound_by=costs[-1].bound_by,
        moved_bytes=fmean(cost.moved_bytes for cost in costs),
        transfers=costs[-1].transfers,
        operations=fmean(cost.operations for cost in costs),
        joules=fmean(cost.joules for cost in costs),
        parts=tuple(averaged(parts) for parts in zip(*(cost.parts for cost in costs), strict=True)),
        overlap=costs[-1].overlap,
    )


def _whole(name: str, parts: Sequence[Cost], seconds: float, overlap: str) -> Cost:
    if not parts:
        raise ValueError(f"cost {name!r} has no parts: give at least one")
    return Cost(
        name=name,
        seconds=seconds,
        bound_by=max((leaf for part in parts for leaf in part.leaves), key=lambda leaf: leaf.seconds).bound_by,
        moved_bytes=sum(part.moved_bytes for part in parts),
        transfers=sum(part.transfers for part in parts),
        operations=sum(part.operations for part in parts),
        joules=sum(part.joules for part in parts),
        parts=tuple(parts),
        overlap=overlap,
    )
