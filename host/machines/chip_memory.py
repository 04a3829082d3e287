"""A chip of banks as a machine that `near_memory` prices: each bank is a unit, its controller the controller.

Owns what a number of busy banks gets of the link, and the two readings of "GB" in document 2 (0.4, E2-8).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, get_args

from .bank_chip import BankChip
from .near_memory import Direction, LinkTime, Operation, UnitRule

__all__ = ["ChipMemory", "UnitSystem", "bytes_per_gb"]

UnitSystem = Literal["si", "seed"]
"""si: G is 10^9. seed: G is 2^30 in all rates, as document 2 divides bytes by 2^30 and then by its GB/s."""


def bytes_per_gb(unit_system: UnitSystem) -> int:
    """What a GB is. Raises ValueError for an unknown system of units."""
    if unit_system not in get_args(UnitSystem):
        raise ValueError(f"units = {unit_system!r}: choose one of {', '.join(get_args(UnitSystem))}")
    return 1 << 30 if unit_system == "seed" else 10**9


@dataclass(frozen=True, slots=True)
class ChipMemory:
    """A chip, with its rates read in a system of units. Banks that share a transfer share the link in proportion."""

    chip: BankChip
    unit_system: UnitSystem = "si"

    def __post_init__(self) -> None:
        bytes_per_gb(self.unit_system)

    @property
    def name(self) -> str:
        return self.chip.name

    @property
    def units(self) -> int:
        return self.chip.banks.count

    @property
    def unit_bytes(self) -> int:
        return self.chip.banks.bank_bytes

    @property
    def unit_bytes_per_s(self) -> float:
        banks = self.chip.banks
        return float(Fraction(banks.die_gb_per_s) * self._giga / banks.banks_per_die)

    @property
    def unit_rule(self) -> UnitRule:
        return "overlapped"

    @property
    def controller_bytes_per_s(self) -> float:
        return float(Fraction(self.chip.controller.gb_per_s) * self._giga)

    @property
    def watts(self) -> None:
        """None is published."""

    def unit_macs_per_s(self, operation: Operation, element_bits: int) -> float:
        """The same for all widths: what the profile says of its multipliers."""
        return float(Fraction(self.chip.banks.gops) * self._giga / 2 / self.units)

    def link_time(self, direction: Direction, *, link_bytes: Fraction, unit_bytes: Fraction, units: int) -> LinkTime:
        """lambda, and bytes over the share of the link that leads to these banks; a broadcast crosses it once."""
        link = self.chip.link
        bytes_per_s = Fraction(link.die_gb_per_s) * self._giga * self.chip.banks.dies * units / self.units
        return LinkTime(float(link.transfer_us) / 1e6, float(link_bytes / bytes_per_s))

    def start_s(self, units: int) -> float:
        """Banks start with their transfer."""
        return 0.0

    @property
    def _giga(self) -> int:
        return bytes_per_gb(self.unit_system)
