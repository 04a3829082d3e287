"""Enumerates design points, prices and ranks them (P-1, P-5)."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import get_args

from host.machines.capacity import MachineCapacityError

from .design import Design, Goal, ranked
from .variant import Variant

__all__ = ["Plan", "PlanError", "Refusal", "batches_to_try", "plan"]


class PlanError(ValueError):
    """A plan that cannot be made; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A variant with no design point, and why."""

    variant: Variant
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """designs: best first, those that meet the SLO before those that miss it. refusals: variants that cannot serve."""

    goal: Goal
    slo_s: float | None
    designs: tuple[Design, ...]
    refusals: tuple[Refusal, ...]

    @property
    def meeting(self) -> int:
        """Designs that meet the SLO; all if there is none."""
        return sum(self.meets(design) for design in self.designs)

    @property
    def best_of_each_variant(self) -> tuple[Design, ...]:
        """The designs, best first, without those that only have another batch than one before them."""
        return self._first_of(lambda design: id(design.variant))

    @property
    def best_of_each_machine(self) -> tuple[Design, ...]:
        """The best design of every machine, the best machine first."""
        return self._first_of(lambda design: design.variant.machine)

    def meets(self, design: Design) -> bool:
        """Whether a design meets the SLO, if there is one."""
        return self.slo_s is None or design.step_s <= self.slo_s

    def _first_of(self, kind: Callable[[Design], Hashable]) -> tuple[Design, ...]:
        first: dict[Hashable, Design] = {}
        for design in self.designs:
            first.setdefault(kind(design), design)
        return tuple(first.values())


def batches_to_try(most: int) -> list[int]:
    """1, 2, 4 and so on, and the most that fit."""
    powers = [1 << exponent for exponent in range(most.bit_length())]
    return sorted({*powers, most}) if most else []


def plan(
    variants: Iterable[Variant], *, goal: Goal, slo_s: float | None = None, batches: Sequence[int] | None = None
) -> Plan:
    """Every variant with every batch that fits: those given, or `batches_to_try`. The best is then refined.

    With the best variant, batches up to the next one that was tried are priced, too, so that the largest that keeps
    the SLO is among the designs. Raises PlanError for an unknown goal, an SLO or a batch that is not positive, and
    where no variant can serve.
    """
    _check(goal, slo_s, batches)
    designs: list[Design] = []
    refusals = []
    for variant in variants:
        chosen, reason = _fitting(variant, goal, batches)
        designs += [Design(variant=variant, batch=batch, cost=variant.price(batch)) for batch in chosen]
        refusals += [] if chosen else [Refusal(variant, reason)]
    if not designs:
        reasons = dict.fromkeys(f"{refusal.variant.machine}: {refusal.reason}" for refusal in refusals)
        raise PlanError("no design serves this. " + "; ".join([*reasons][:3]))
    if batches is None and goal != "latency":
        designs += _between(ranked(designs, goal, slo_s))
    return Plan(goal=goal, slo_s=slo_s, designs=tuple(ranked(designs, goal, slo_s)), refusals=tuple(refusals))


def _check(goal: Goal, slo_s: float | None, batches: Sequence[int] | None) -> None:
    if goal not in get_args(Goal):
        raise PlanError(f"goal {goal!r}: choose one of {', '.join(get_args(Goal))}")
    if slo_s is not None and not slo_s > 0:
        raise PlanError(f"SLO of {slo_s} s: must be positive")
    for batch in batches or ():
        if batch < 1:
            raise PlanError(f"batch {batch}: must be at least 1")


def _fitting(variant: Variant, goal: Goal, batches: Sequence[int] | None) -> tuple[list[int], str]:
    """The batches to price; or none, and why."""
    if goal == "energy" and variant.energy == "unknown":
        return [], "its profile states neither energy nor power, so goal energy cannot rank it"
    try:
        most = variant.largest_batch()
    except MachineCapacityError as error:
        return [], str(error)
    least = variant.smallest_batch
    if batches is None:
        tried = [batch for batch in batches_to_try(most) if batch >= least]
        return tried, f"fewer than {least} of such requests fit; take fewer tokens or fewer bits"
    tried = [batch for batch in dict.fromkeys(batches) if least <= batch <= most]
    return tried, f"it takes {least:,} to {most:,} requests"


def _between(best_first: list[Design]) -> list[Design]:
    """The best design's variant, with the batches up to the next that was tried: one of these may be better."""
    best = best_first[0]
    tried = {design.batch for design in best_first if design.variant is best.variant}
    beyond = min((batch for batch in tried if batch > best.batch), default=best.batch)
    return [
        Design(variant=best.variant, batch=batch, cost=best.variant.price(batch))
        for batch in range(best.batch + 1, beyond)
    ]
