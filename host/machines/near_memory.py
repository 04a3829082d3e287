"""What it takes units with memory of their own to do a step: one latency path for all such machines (P-2).

A step is rounds of exchanges: operands go down to the units, each unit reads what it keeps and multiplies, results come
up, and a controller does the rest. A round takes

    units       the busiest unit: the longer of reading its bytes and of its multiplications, or their sum
    link        what a transfer costs beyond its bytes, for each transfer, and bytes / bandwidth
    controller  bytes / bandwidth

Document 2's banks and document 0's DPUs differ in the numbers of `NearMemory` only. What is moved and read follows from
the model, in `weight_partition` and `kv_placement`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, Protocol

from .cost import Bound, Cost, in_sequence

__all__ = ["Direction", "LinkTime", "NearMemory", "Operation", "Round", "UnitRule", "Work", "work_cost"]

Direction = Literal["broadcast", "scatter", "gather"]
"""One buffer to all units of a round; to each its own; from each its own."""

Operation = Literal["product", "attention"]
"""What a unit multiplies for: a matrix and vectors; queries and a cache, with what happens to the scores between."""

UnitRule = Literal["overlapped", "summed"]
"""Whether a unit reads while it multiplies, or before."""

TIE = 1e-9
"""Relative: multipliers are built to keep up with memory, and rounding must not decide which of the two limits."""


@dataclass(frozen=True, slots=True)
class LinkTime:
    """One transfer: seconds before its bytes count, and seconds of its bytes."""

    latency_s: float
    bandwidth_s: float


class NearMemory(Protocol):
    """A machine of equal units with memory, a link to all of them, and a controller at its other end.

    watts: while a step runs, of all units; None where no power is published.
    """

    @property
    def name(self) -> str: ...

    @property
    def units(self) -> int: ...

    @property
    def unit_bytes(self) -> int: ...

    @property
    def unit_bytes_per_s(self) -> float:
        """Bandwidth between a unit and its memory."""

    @property
    def unit_rule(self) -> UnitRule: ...

    @property
    def controller_bytes_per_s(self) -> float: ...

    @property
    def watts(self) -> float | None: ...

    def unit_macs_per_s(self, operation: Operation, element_bits: int) -> float:
        """Multiplications with additions per second of one unit, with stored elements of so many bits.

        Raises ValueError for bits that it cannot multiply.
        """

    def link_time(self, direction: Direction, *, link_bytes: Fraction, unit_bytes: Fraction, units: int) -> LinkTime:
        """One transfer with `units` units: `link_bytes` in all, `unit_bytes` for each."""

    def start_s(self, units: int) -> float:
        """Until so many units work, once a round, beyond the transfers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """An exchange with `units` units, `times` times in a step. Sizes are exact, and of all units together.

    down_bytes, up_bytes: on the link. unit_down_bytes: that each unit gets, the same for all in a broadcast.
    down_transfers, up_transfers: calls; the bytes are divided among them. imbalance: what the busiest unit has to do
    over the mean.
    """

    times: int
    units: int
    operation: Operation
    element_bits: int
    read_bytes: Fraction
    macs: Fraction
    down: Literal["broadcast", "scatter"]
    down_bytes: Fraction
    unit_down_bytes: Fraction
    up_bytes: Fraction
    down_transfers: int = 1
    up_transfers: int = 1
    imbalance: Fraction = Fraction(1)

    @property
    def transfers(self) -> int:
        """Of all times."""
        return self.times * (self.down_transfers + self.up_transfers)

    @property
    def link_bytes(self) -> Fraction:
        """Of all times, in both directions."""
        return self.times * (self.down_bytes + self.up_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A part of a step: its rounds, and the bytes that the controller reads for it."""

    rounds: tuple[Round, ...]
    controller_bytes: Fraction

    @property
    def transfers(self) -> int:
        """Of all rounds."""
        return sum(one.transfers for one in self.rounds)

    @property
    def link_bytes(self) -> Fraction:
        """Of all rounds, in both directions."""
        return sum((one.link_bytes for one in self.rounds), Fraction(0))

    @property
    def read_bytes(self) -> Fraction:
        """Of all units and rounds."""
        return sum((one.times * one.read_bytes for one in self.rounds), Fraction(0))


def work_cost(machine: NearMemory, name: str, work: Work) -> Cost:
    """A part of a step: "units", "link" (of "latency" and "bandwidth") and "controller", one after the other.

    Raises ValueError for units that the machine does not have, and for bits that its units cannot multiply.
    """
    for one in work.rounds:
        if not 1 <= one.units <= machine.units:
            raise ValueError(
                f"{name}: a round with {one.units} units on {machine.name}, which has {machine.units}. "
                "Split the work into waves, or over fewer units."
            )
    controller_bytes = float(work.controller_bytes)
    controller_s = controller_bytes / machine.controller_bytes_per_s
    return in_sequence(
        name,
        [
            _unit_cost(machine, work.rounds),
            _link_cost(machine, work.rounds),
            _leaf(machine, "controller", controller_s, "controller", moved_bytes=controller_bytes),
        ],
    )


def _unit_cost(machine: NearMemory, rounds: Sequence[Round]) -> Cost:
    """All rounds; bound by what most of the time goes to."""
    seconds: dict[Bound, float] = {"unit bandwidth": 0.0, "compute": 0.0}
    for one in rounds:
        share = one.times * one.imbalance / one.units
        reading_s = float(one.read_bytes * share) / machine.unit_bytes_per_s
        computing_s = float(one.macs * share) / machine.unit_macs_per_s(one.operation, one.element_bits)
        computes = computing_s > reading_s * (1 + TIE)
        if machine.unit_rule == "summed" or not computes:
            seconds["unit bandwidth"] += reading_s
        if machine.unit_rule == "summed" or computes:
            seconds["compute"] += computing_s
    return _leaf(
        machine,
        "units",
        sum(seconds.values()),
        max(seconds, key=lambda bound: seconds[bound]),
        moved_bytes=float(sum(one.times * one.read_bytes for one in rounds)),
        operations=float(sum(2 * one.times * one.macs for one in rounds)),
    )


def _link_cost(machine: NearMemory, rounds: Sequence[Round]) -> Cost:
    latency_s, bandwidth_s = 0.0, 0.0
    for one in rounds:
        down = machine.link_time(
            one.down,
            link_bytes=one.down_bytes / one.down_transfers,
            unit_bytes=one.unit_down_bytes / one.down_transfers,
            units=one.units,
        )
        up_bytes = one.up_bytes / one.up_transfers
        up = machine.link_time("gather", link_bytes=up_bytes, unit_bytes=up_bytes / one.units, units=one.units)
        for transfers, time in ((one.down_transfers, down), (one.up_transfers, up)):
            latency_s += one.times * transfers * time.latency_s
            bandwidth_s += one.times * transfers * time.bandwidth_s
        latency_s += one.times * machine.start_s(one.units)
    transfers = sum(one.transfers for one in rounds)
    link_bytes = float(sum(one.link_bytes for one in rounds))
    return in_sequence(
        "link",
        [
            _leaf(machine, "latency", latency_s, "link latency", transfers=transfers),
            _leaf(machine, "bandwidth", bandwidth_s, "link bandwidth", moved_bytes=link_bytes),
        ],
    )


def _leaf(
    machine: NearMemory,
    name: str,
    seconds: float,
    bound_by: Bound,
    *,
    moved_bytes: float = 0,
    transfers: int = 0,
    operations: float = 0,
) -> Cost:
    return Cost(
        name=name,
        seconds=seconds,
        bound_by=bound_by,
        moved_bytes=moved_bytes,
        transfers=transfers,
        operations=operations,
        joules=seconds * (machine.watts or 0.0),
    )
