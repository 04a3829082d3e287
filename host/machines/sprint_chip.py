"""The chip of document 4, SPRINT: corelets with buffers for K and V, and ReRAM that compares scores with a threshold.

Owns the record: sizes, cycles of the chip's clock, energies. What attention costs on it follows in `host.sprint`.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from importlib.resources import files
from typing import Annotated

from pim_runtime.hardware.profile_files import ProfileFolder
from pim_runtime.hardware.profiled import Profiled
from pim_runtime.quantities import Integer, Number

__all__ = ["Corelets", "InMemoryThresholding", "ReramBanks", "SprintChip", "SprintEnergy", "sprint_chips"]

PicojoulePerBit = Annotated[Decimal, Number("pJ/bit", 6)]
Picojoule = Annotated[Decimal, Number("pJ", 6)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Corelets:
    """What computes exactly. lanes: multipliers of the QK-PU of one corelet, and as many of its V-PU.

    kv_buffer_bytes: for K and V together, of all corelets together.
    """

    count: Annotated[int, Integer("corelets", at_least=1)]
    clock_mhz: Annotated[int, Integer("MHz", at_least=1)]
    lanes: Annotated[int, Integer("MACs/cycle", at_least=1)]
    kv_buffer_bytes: Annotated[int, Integer("bytes")]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReramBanks:
    """Memory of Q, K and V: channels with a bus each, banks of a channel with a row buffer each.

    row_cycles: to open a row of a bank. column_cycles: from an open row until its first bytes are on the bus.
    """

    channels: Annotated[int, Integer("channels", at_least=1)]
    banks: Annotated[int, Integer("banks", at_least=1)]
    row_bytes: Annotated[int, Integer("bytes", at_least=1)]
    channel_gb_per_s: Annotated[Decimal, Number("GB/s", 6, "positive")]
    row_cycles: Annotated[int, Integer("cycles")]
    column_cycles: Annotated[int, Integer("cycles")]


@dataclass(frozen=True, slots=True, kw_only=True)
class InMemoryThresholding:
    """The transposable ReRAM. copy_q_cycles: tCL, of CopyQ. threshold_cycles: tAxTh, of products and comparators.

    read_p_bits: of the pruning vector that ReadP takes out in a cycle. crossbar_rows: elements of a key in one column.
    """

    copy_q_cycles: Annotated[int, Integer("cycles")]
    threshold_cycles: Annotated[int, Integer("cycles")]
    read_p_bits: Annotated[int, Integer("bits/cycle", at_least=1)]
    crossbar_rows: Annotated[int, Integer("rows", at_least=1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class SprintEnergy:
    """Energy of what moves and of what is computed. in_memory_mac: with its part of the comparator."""

    in_memory_mac_pj: Picojoule
    reram_read_pj_per_bit: PicojoulePerBit
    reram_write_pj_per_bit: PicojoulePerBit
    buffer_read_pj_per_bit: PicojoulePerBit
    buffer_write_pj_per_bit: PicojoulePerBit
    mac_pj: Picojoule
    softmax_pj: Picojoule


@dataclass(frozen=True, slots=True, kw_only=True)
class SprintChip(Profiled):
    """One chip with its memory. `provenance` lists every value with its unit, provenance and source."""

    corelets: Corelets
    memory: ReramBanks
    thresholding: InMemoryThresholding
    energy: SprintEnergy

    @property
    def clock_hz(self) -> int:
        """Cycles of a second."""
        return self.corelets.clock_mhz * 10**6

    def bus_cycles(self, size_bytes: int) -> int:
        """Cycles that `size_bytes` occupy the bus of a channel, rounded up."""
        seconds = Fraction(size_bytes) / (Fraction(self.memory.channel_gb_per_s) * 10**9)
        return -int(-seconds * self.clock_hz // 1)


def sprint_chips() -> ProfileFolder[SprintChip]:
    """The chips that ship."""
    return ProfileFolder("SPRINT chip", files("host.machines") / "profiles" / "sprint", SprintChip)
