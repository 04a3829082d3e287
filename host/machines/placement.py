"""Which unit holds how much: KV caches where their heads are, and weights around them (S2-6), and what fits (S2-3).

Weights may be anywhere, but their product takes as long as the unit with the most of them. So they are spread such that
this unit has as few as the room beside the caches allows: all units get the same, except those that are full before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, Protocol, get_args

from host.llm.model import ModelConfig
from host.llm.parameters import Counted, kv_bytes_per_token, weight_bytes
from host.llm.quantisation import QuantConfig

from .capacity import MachineCapacityError, how_many_fit
from .kv_placement import KvPlacement, kv_parts

__all__ = ["CountKv", "Group", "Placement", "Spread", "kv_groups", "max_batch", "max_context", "place", "place_weights"]

Spread = Literal["even", "skewed"]
"""even: every unit has as many weights as the others. skewed: those without caches have more, if they must."""

CountKv = Literal["both", "seed"]
"""both: K and V take memory. seed: one of them, as in document 2 (E2-1)."""


class Memories(Protocol):
    """What has room: equal units with memory."""

    @property
    def name(self) -> str: ...

    @property
    def units(self) -> int: ...

    @property
    def unit_bytes(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Group:
    """Units that hold the same: bytes of each."""

    units: int
    kv_bytes: Fraction
    weight_bytes: Fraction = Fraction(0)


@dataclass(frozen=True, slots=True)
class Placement:
    """What units hold. slowdown: of the product with all weights, against an even spread."""

    groups: tuple[Group, ...]

    @property
    def slowdown(self) -> Fraction:
        """Weights of the unit that has the most, over the mean; 1 without weights."""
        units = sum(group.units for group in self.groups)
        total = sum(group.units * group.weight_bytes for group in self.groups)
        return max(group.weight_bytes for group in self.groups) * units / total if total else Fraction(1)


def place(
    machine: Memories,
    model: ModelConfig,
    quant: QuantConfig,
    kv: KvPlacement,
    *,
    context: int,
    batch: int = 1,
    spread: Spread = "skewed",
    counted: Counted = "gemv",
) -> Placement:
    """Where weights go beside the caches of `batch` requests of `context` tokens.

    Raises MachineCapacityError if there is no such placement, ValueError for negative sizes.
    """
    groups = kv_groups(machine, model, quant, kv, context=context, batch=batch)
    try:
        return place_weights(
            groups, unit_bytes=machine.unit_bytes, weights=weight_bytes(model, quant, counted), spread=spread
        )
    except MachineCapacityError as error:
        raise MachineCapacityError(
            f"{model.name} with {batch} x {context:,} tokens on {machine.name}: {error}"
        ) from None


def kv_groups(
    machine: Memories, model: ModelConfig, quant: QuantConfig, kv: KvPlacement, *, context: int, batch: int = 1
) -> tuple[Group, ...]:
    """Units by how many parts of heads they hold, those with more first. Raises ValueError for negative sizes."""
    _refuse_negative(context=context, batch=batch)
    part = _part_bytes_per_token(model, quant, kv, "both") * context
    each, more = divmod(kv_parts(model, batch, kv), machine.units)
    groups = (Group(more, (each + 1) * part), Group(machine.units - more, each * part))
    return tuple(group for group in groups if group.units)


def place_weights(groups: Sequence[Group], *, unit_bytes: int, weights: int | Fraction, spread: Spread) -> Placement:
    """Weights beside what units hold already; of all placements that fit, one with the fewest on the busiest unit.

    Raises MachineCapacityError where none fits, ValueError for an unknown spread and for negative weights.
    """
    _refuse_negative(weights=weights)
    if spread not in get_args(Spread):
        raise ValueError(f"spread = {spread!r}: choose one of {', '.join(get_args(Spread))}")
    fullest = max(group.kv_bytes for group in groups)
    if fullest > unit_bytes:
        raise MachineCapacityError(
            f"a unit of {unit_bytes:,} bytes has to hold {float(fullest):,.0f} bytes of KV cache. "
            "Split heads over more units, or take fewer tokens or bits."
        )
    units, left = sum(group.units for group in groups), Fraction(weights)
    share = left / units
    if units * unit_bytes < left + sum(group.units * group.kv_bytes for group in groups):
        raise MachineCapacityError(
            f"{float(left):,.0f} bytes of weights do not fit beside the KV cache in {units:,} units of {unit_bytes:,}. "
            "Take more units, fewer bits, or fewer tokens."
        )
    if spread == "even" and fullest + share > unit_bytes:
        raise MachineCapacityError(
            f"weights spread evenly take {float(share):,.0f} bytes of each unit of {unit_bytes:,}, and the KV cache "
            f"{float(fullest):,.0f} of the fullest. Spread them skewed, split heads more, or take fewer tokens."
        )
    placed = []
    for group in sorted(groups, key=lambda group: group.kv_bytes, reverse=True):
        own = min(unit_bytes - group.kv_bytes, left / units)  # the fullest first: what it refuses, the others share
        placed.append(Group(group.units, group.kv_bytes, own))
        units, left = units - group.units, left - group.units * own
    return Placement(tuple(placed))


def max_context(
    machine: Memories,
    model: ModelConfig,
    quant: QuantConfig,
    kv: KvPlacement,
    *,
    spread: Spread = "skewed",
    counted: Counted = "gemv",
    count_kv: CountKv = "both",
    batch: int = 1,
) -> int:
    """Longest context of `batch` requests (S2-3). Raises MachineCapacityError if the weights do not fit."""
    if batch < 1:
        raise ValueError(f"batch = {batch}: must be at least 1")
    weights, each = weight_bytes(model, quant, counted), _part_bytes_per_token(model, quant, kv, count_kv)
    parts = kv_parts(model, batch, kv)
    turns = -(-parts // machine.units)
    what = f"tokens of {model.name} on {machine.name}"
    in_all = how_many_fit(
        room_bytes=machine.units * machine.unit_bytes, resident_bytes=weights, each_bytes=parts * each, what=what
    )
    resident = Fraction(weights, machine.units) if spread == "even" else 0
    in_one = how_many_fit(room_bytes=machine.unit_bytes, resident_bytes=resident, each_bytes=turns * each, what=what)
    return min(in_all, in_one)


def max_batch(
    machine: Memories,
    model: ModelConfig,
    quant: QuantConfig,
    kv: KvPlacement,
    *,
    context: int,
    spread: Spread = "skewed",
    counted: Counted = "gemv",
) -> int:
    """Most requests of `context` tokens, 0 if not even one fits. Raises MachineCapacityError if the weights do not."""
    if context < 1:
        raise ValueError(f"context = {context}: must be at least 1")
    weights, part = weight_bytes(model, quant, counted), _part_bytes_per_token(model, quant, kv, "both") * context
    what = f"parts of requests of {context:,} tokens of {model.name} on {machine.name}"
    in_all = how_many_fit(
        room_bytes=machine.units * machine.unit_bytes, resident_bytes=weights, each_bytes=part, what=what
    )
    resident = Fraction(weights, machine.units) if spread == "even" else 0
    in_one = how_many_fit(room_bytes=machine.unit_bytes, resident_bytes=resident, each_bytes=part, what=what)
    return min(in_all, in_one * machine.units) // kv_parts(model, 1, kv)


def _part_bytes_per_token(model: ModelConfig, quant: QuantConfig, kv: KvPlacement, count_kv: CountKv) -> Fraction:
    """Of one part of one head, in all layers."""
    if count_kv not in get_args(CountKv):
        raise ValueError(f"count_kv = {count_kv!r}: choose one of {', '.join(get_args(CountKv))}")
    whole = Fraction(kv_bytes_per_token(model, quant), kv_parts(model, 1, kv))
    return whole / 2 if count_kv == "seed" else whole


def _refuse_negative(**sizes: int | Fraction) -> None:
    for name, size in sizes.items():
        if size < 0:
            raise ValueError(f"{name} = {size}: must not be negative")
