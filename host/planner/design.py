"""A design point: a variant with a batch, and what it reaches; and the goals that design points are ranked by."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from host.machines.cost import Bound, Cost

from .variant import Variant

__all__ = ["GOALS", "Design", "Goal", "ranked"]

Goal = Literal["latency", "throughput", "energy"]
"""Fewest seconds per step; most tokens per second; fewest joules per token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """`batch` requests get one token each in cost.seconds."""

    variant: Variant
    batch: int
    cost: Cost

    @property
    def step_s(self) -> float:
        """Between two tokens of a request."""
        return self.cost.seconds

    @property
    def tokens_per_s(self) -> float:
        """Of all requests."""
        return self.batch / self.cost.seconds

    @property
    def joules_per_token(self) -> float | None:
        """None where the machine's energy is unknown."""
        return self.cost.joules / self.batch if self.variant.energy == "modelled" else None

    @property
    def bound_by(self) -> Bound:
        """What most of the time goes to, of all parts together."""
        return max(self._seconds_by_bound, key=lambda bound: self._seconds_by_bound[bound])

    @property
    def share_bound_by(self) -> float:
        """How much of the time of all parts that is; 1 if there is nothing else."""
        total = sum(self._seconds_by_bound.values())
        return self._seconds_by_bound[self.bound_by] / total if total else 1.0

    @property
    def _seconds_by_bound(self) -> dict[Bound, float]:
        seconds: dict[Bound, float] = {}
        for leaf in self.cost.leaves:
            seconds[leaf.bound_by] = seconds.get(leaf.bound_by, 0.0) + leaf.seconds
        return seconds


def _latency(design: Design) -> tuple[float, float]:
    return design.step_s, -design.tokens_per_s


def _throughput(design: Design) -> tuple[float, float]:
    return -design.tokens_per_s, design.step_s


def _energy(design: Design) -> tuple[float, float]:
    joules = design.joules_per_token
    return float("inf") if joules is None else joules, design.step_s


GOALS: Mapping[Goal, Callable[[Design], tuple[float, float]]] = MappingProxyType(
    {"latency": _latency, "throughput": _throughput, "energy": _energy}
)
"""Sort keys, best first."""


def ranked(designs: Iterable[Design], goal: Goal, slo_s: float | None) -> list[Design]:
    """Designs that meet the SLO, best first; then those that miss it, the fastest first."""

    def key(design: Design) -> tuple[bool, tuple[float, float]]:
        late = slo_s is not None and design.step_s > slo_s
        return late, _latency(design) if late else GOALS[goal](design)

    return sorted(designs, key=key)
