"""HBM stacks that multiply K and V where they are stored, with softmax on the buffer die (document 1, AttAcc; S1-9).

Owns the record: which units work at the same time, the DRAM cycles that they take, energies. Placements, at each bank,
at each bank group or on the buffer die, and limits of power are profiles.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from importlib.resources import files
from typing import Annotated

from pim_runtime.hardware.profile_files import ProfileFolder
from pim_runtime.hardware.profiled import Profiled
from pim_runtime.quantities import Integer, Number

__all__ = ["BufferDie", "ChannelBanks", "CommandTiming", "GemvUnits", "HbmEnergy", "HbmPim", "HbmStacks", "hbm_pims"]

PicojoulePerByte = Annotated[Decimal, Number("pJ/B", 6)]
PicojoulePerBit = Annotated[Decimal, Number("pJ/bit", 6)]


@dataclass(frozen=True, slots=True, kw_only=True)
class HbmStacks:
    """What there is: devices with a link of their own, stacks of a device, channels of a stack.

    stack_gb_per_s: of the external interface. peak_gb_per_s: of all GEMV units of a stack together, as published.
    """

    devices: Annotated[int, Integer("devices", at_least=1)]
    stacks_per_device: Annotated[int, Integer("stacks", at_least=1)]
    channels: Annotated[int, Integer("channels", at_least=1)]
    stack_bytes: Annotated[int, Integer("bytes", at_least=1)]
    stack_gb_per_s: Annotated[Decimal, Number("GB/s", 6, "positive")]
    peak_gb_per_s: Annotated[Decimal, Number("GB/s", 6, "positive")]

    @property
    def count(self) -> int:
        """Stacks of all devices."""
        return self.devices * self.stacks_per_device

    @property
    def total_bytes(self) -> int:
        """Memory of all stacks of all devices."""
        return self.count * self.stack_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelBanks:
    """The DRAM of a channel, wherever units are: ranks of a pseudo channel, and so on down to the rows of a bank."""

    ranks: Annotated[int, Integer("ranks", at_least=1)]
    bank_groups: Annotated[int, Integer("bank groups", at_least=1)]
    banks: Annotated[int, Integer("banks", at_least=1)]
    rows: Annotated[int, Integer("rows", at_least=1)]

    @property
    def groups(self) -> int:
        """Bank groups of a pseudo channel, of all its ranks."""
        return self.ranks * self.bank_groups


@dataclass(frozen=True, slots=True, kw_only=True)
class GemvUnits:
    """What a MAC command of a channel puts to work: so many pseudo channels, ranks of each, bank groups and banks.

    A unit that serves several of them counts once: on the buffer die there is one for each pseudo channel. Tokens are
    spread over pseudo channels, ranks and bank groups, elements of a head over banks. command_bytes: read by a bank
    in one command.
    """

    pseudo_channels: Annotated[int, Integer("pseudo channels", at_least=1)]
    ranks: Annotated[int, Integer("ranks", at_least=1)]
    bank_groups: Annotated[int, Integer("bank groups", at_least=1)]
    banks: Annotated[int, Integer("banks", at_least=1)]
    command_bytes: Annotated[int, Integer("bytes", at_least=1)]

    @property
    def token_groups(self) -> int:
        """Over how many groups of units the tokens of a head are spread."""
        return self.pseudo_channels * self.ranks * self.bank_groups

    @property
    def bytes_per_mac(self) -> int:
        """What all units of a channel read in one command."""
        return self.token_groups * self.banks * self.command_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandTiming:
    """Cycles of the DRAM clock that add up: what is hidden behind other commands counts 0.

    mac_cycles: between MAC commands. row_cycles: to close a row and open the next, every macs_per_row commands.
    move_cycles: of a transfer between GEMV units and buffer die. refresh_cycles of each refresh_interval_cycles are
    lost.
    """

    clock_ps: Annotated[int, Integer("ps", at_least=1)]
    mac_cycles: Annotated[int, Integer("cycles", at_least=1)]
    macs_per_row: Annotated[int, Integer("commands", at_least=1)]
    row_cycles: Annotated[int, Integer("cycles")]
    move_cycles: Annotated[int, Integer("cycles")]
    refresh_cycles: Annotated[int, Integer("cycles")]
    refresh_interval_cycles: Annotated[int, Integer("cycles", at_least=1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class BufferDie:
    """Softmax of a stack, and the link of a device. gops: 10^9 operations per second on elements of 16 bits.

    link_gb_per_s: of both directions together.
    """

    softmax_gb_per_s: Annotated[Decimal, Number("GB/s", 6, "positive")]
    softmax_gops: Annotated[Decimal, Number("Gop/s", 6, "positive")]
    link_gb_per_s: Annotated[Decimal, Number("GB/s", 6, "positive")]


@dataclass(frozen=True, slots=True, kw_only=True)
class HbmEnergy:
    """Energy of what moves and of what is computed. cell: from the cells to the GEMV unit."""

    cell_pj_per_byte: PicojoulePerByte
    interposer_pj_per_bit: PicojoulePerBit
    tsv_pj_per_bit: PicojoulePerBit
    global_mux_pj_per_bit: PicojoulePerBit
    group_mux_pj_per_bit: PicojoulePerBit
    sram_pj_per_byte: PicojoulePerByte
    link_pj_per_byte: PicojoulePerByte
    mac_pj: Annotated[Decimal, Number("pJ", 6)]


@dataclass(frozen=True, slots=True, kw_only=True)
class HbmPim(Profiled):
    """All devices of a server. `provenance` lists every value with its unit, provenance and source."""

    stacks: HbmStacks
    banks: ChannelBanks
    units: GemvUnits
    timing: CommandTiming
    buffer_die: BufferDie
    energy: HbmEnergy


def hbm_pims() -> ProfileFolder[HbmPim]:
    """The devices that ship."""
    return ProfileFolder("HBM with PIM", files("host.machines") / "profiles" / "hbm_pim", HbmPim)
