"""Modelled against published: the error of one point, and mean, worst and bias of a group. No point is left out."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TypeVar

from .points import Point

__all__ = ["ComparedPoint", "GroupErrors", "group_errors", "grouped"]

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedPoint:
    """A published number and what the clock says. modelled: in the unit of the point. model: which counts, or which
    machine."""

    point: Point
    model: str
    modelled: float

    @property
    def error(self) -> float:
        """Modelled / published - 1."""
        return self.modelled / self.point.value - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupErrors:
    """Errors of some points. mean, worst_error: of their sizes; bias: with sign."""

    size: int
    mean: float
    bias: float
    worst: ComparedPoint

    @property
    def worst_error(self) -> float:
        return abs(self.worst.error)


def group_errors(points: Sequence[ComparedPoint]) -> GroupErrors:
    """Raises ValueError for no points."""
    if not points:
        raise ValueError("errors of 0 points: a group has at least one. Compare some points first.")
    return GroupErrors(
        size=len(points),
        mean=fmean(abs(point.error) for point in points),
        bias=fmean(point.error for point in points),
        worst=max(points, key=lambda point: abs(point.error)),
    )


def grouped(
    points: Iterable[ComparedPoint], key: Callable[[ComparedPoint], Key]
) -> dict[Key, tuple[ComparedPoint, ...]]:
    """Points by key, in the order of their first appearance."""
    groups: dict[Key, list[ComparedPoint]] = {}
    for point in points:
        groups.setdefault(key(point), []).append(point)
    return {name: tuple(members) for name, members in groups.items()}
