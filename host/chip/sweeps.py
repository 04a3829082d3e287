"""Decode rate over lambda, the three bandwidths of a chip, and the context (S2-4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import product
from typing import Literal, get_args

from host.machines.bank_chip import BankChip
from host.machines.cost import Cost

from .document import PimChip

__all__ = ["SweepAxis", "SweepPoint", "scaled", "sweep", "with_axes"]

SweepAxis = Literal["lambda_s", "bm_gb_per_s", "cbm_gb_per_s", "cm_gb_per_s", "context"]
"""lambda; BM of all banks, CBM of all links, CM of the controller, in the document's letters; tokens."""

DECIMALS = 6  # of a value of a profile
LARGEST_EXPONENT = 15  # with these decimals, within the precision of decimal arithmetic
BANDWIDTHS = ("banks.die_gb_per_s", "link.die_gb_per_s", "controller.gb_per_s")


@dataclass(frozen=True, slots=True)
class SweepPoint:
    """Values of the axes that were swept, and what a token costs there."""

    values: Mapping[SweepAxis, Decimal]
    cost: Cost

    @property
    def tokens_per_s(self) -> float:
        """Of one request."""
        return 1 / self.cost.seconds


def sweep(chip: PimChip, context: int, axes: Mapping[SweepAxis, Sequence[Decimal]]) -> tuple[SweepPoint, ...]:
    """Every combination of values of the axes, the last axis fastest; what is not swept is as on the chip.

    Raises ValueError for an unknown axis, a context that is no integer, and no values; ProfileError for values that a
    chip cannot have.
    """
    for axis, values in axes.items():
        if axis not in get_args(SweepAxis):
            raise ValueError(f"sweep over {axis!r}: choose of {', '.join(get_args(SweepAxis))}")
        if not values:
            raise ValueError(f"sweep over {axis}: no values")
    points = []
    for chosen in product(*axes.values()):
        values_at = dict(zip(axes, chosen, strict=True))
        tokens = _whole_tokens(values_at.get("context", Decimal(context)))
        at = replace(chip, chip=with_axes(chip.chip, values_at))
        points.append(SweepPoint(values_at, at.token_latency(tokens)))
    return tuple(points)


def with_axes(chip: BankChip, values: Mapping[SweepAxis, Decimal]) -> BankChip:
    """The chip with lambda and bandwidths of all its dies together. Raises ProfileError for values it cannot have."""
    dies = chip.banks.dies
    keys = {
        "lambda_s": ("link.transfer_us", Decimal(1_000_000)),
        "bm_gb_per_s": ("banks.die_gb_per_s", 1 / Decimal(dies)),
        "cbm_gb_per_s": ("link.die_gb_per_s", 1 / Decimal(dies)),
        "cm_gb_per_s": ("controller.gb_per_s", Decimal(1)),
    }
    own = {keys[axis][0]: _fitting(values[axis] * keys[axis][1]) for axis in values if axis != "context"}
    return chip.with_values(own) if own else chip


def scaled(chip: BankChip, factor: Decimal) -> BankChip:
    """The chip with all three bandwidths multiplied by a factor. Raises ProfileError for one that is not positive."""
    old = chip.quantities
    return chip.with_values({key: _fitting(Decimal(str(old[key].value)) * factor) for key in BANDWIDTHS})


def _fitting(value: Decimal) -> Decimal:
    """Rounded to the decimals that a profile may state; numbers beyond all machines are left to its rules."""
    if not value.is_finite() or value.adjusted() > LARGEST_EXPONENT:
        return value
    return value.quantize(Decimal(1).scaleb(-DECIMALS))


def _whole_tokens(tokens: Decimal) -> int:
    if tokens != tokens.to_integral_value():
        raise ValueError(f"context = {tokens}: must be a whole number of tokens")
    return int(tokens)
