"""A chip of DRAM banks that multiply and add, and a controller that does the rest (document 2, U-2).

Owns the record; what it costs to compute on it follows from `chip_memory`.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from importlib.resources import files
from typing import Annotated

from pim_runtime.hardware.profile_files import ProfileFolder
from pim_runtime.hardware.profiled import Profiled
from pim_runtime.quantities import Integer, Number

__all__ = ["BankChip", "Banks", "ChipController", "ChipLink", "bank_chips"]

Bandwidth = Annotated[Decimal, Number("GB/s", 6, "positive")]  # 1 GB/s = 10^9 bytes per second


@dataclass(frozen=True, slots=True, kw_only=True)
class Banks:
    """Dies of banks, each with its multipliers and a buffer. Bandwidth is that of all banks of a die together.

    gops: operations per second of all banks together, in 10^9; a multiplication and an addition are two.
    """

    dies: Annotated[int, Integer("dies", at_least=1)]
    banks_per_die: Annotated[int, Integer("banks", at_least=1)]
    bank_bytes: Annotated[int, Integer("bytes", at_least=1)]
    buffer_bytes: Annotated[int, Integer("bytes", at_least=1)]
    die_gb_per_s: Bandwidth
    gops: Annotated[Decimal, Number("Gop/s", 6, "positive")]

    @property
    def count(self) -> int:
        """Banks of all dies."""
        return self.dies * self.banks_per_die

    @property
    def total_bytes(self) -> int:
        """Memory of all banks."""
        return self.count * self.bank_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ChipLink:
    """Between controller and banks: bandwidth of a die, and lambda, what a transfer costs beyond its bytes."""

    die_gb_per_s: Bandwidth
    transfer_us: Annotated[Decimal, Number("us", 6)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChipController:
    """Does softmax, norms, products of vectors and reductions. cram: its cache. cmem: for what is intermediate."""

    gb_per_s: Bandwidth
    gops: Annotated[Decimal, Number("Gop/s", 6, "positive")]
    cram_bytes: Annotated[int, Integer("bytes", at_least=1)]
    cmem_bytes: Annotated[int, Integer("bytes", at_least=1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class BankChip(Profiled):
    """One chip. `provenance` lists every value with its unit, provenance and source."""

    banks: Banks
    link: ChipLink
    controller: ChipController


def bank_chips() -> ProfileFolder[BankChip]:
    """The chips that ship."""
    return ProfileFolder("chip of banks", files("host.machines") / "profiles" / "bank_chips", BankChip)
