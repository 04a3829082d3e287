"""One DPU that the checker follows: what is known of its memory, and what the host has written and nobody has used."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..blocks import BLOCK_BYTES, Blocks
from ..commands import Memory, Read, Write
from ..hardware import Hardware
from ..program import DpuBinary
from .alternative import Alternative
from .conditions import Conditions
from .dpu_shadow import DpuShadow
from .finding import Finding, Kind, SourcePlace
from .host_writes import HostWrite, HostWrites
from .names import AddressNames
from .shadow import HOST, TAINTED, UNDEFINED, WORD_BYTES, Shadow
from .undefined import Origin

__all__ = ["WatchedDpu"]


class WatchedDpu:
    """Follows one DPU from its first load on.

    binary, names: the loaded program and its address map. alternatives: what MRAM would hold in other conditions.
    """

    binary: DpuBinary
    names: AddressNames

    def __init__(self, dpu: int, hardware: Hardware) -> None:
        self.dpu, self.shadow = dpu, DpuShadow()
        self.unused = HostWrites()
        self.alternatives: dict[Conditions, Alternative] = {}
        self._hardware = hardware

    def load(self, binary: DpuBinary, names: AddressNames) -> None:
        """WRAM holds the program's variables and nothing else; what MRAM holds is given to the new program."""
        self.binary, self.names = binary, names
        self.unused.clear()
        self.shadow.mram.begin_load()
        self.shadow.wram.fill(0, self._hardware.dpu.wram_bytes, UNDEFINED)
        self.shadow.wram.fill(0, len(binary.wram_image), HOST)
        for address, image in binary.mram_segments:
            self.shadow.mram.fill(address, len(image), HOST)
            self._settle(address, len(image))
        self.shadow.writers.clear()

    def restore(self, memory: Memory, blocks: Blocks) -> None:
        """A checkpoint has written a memory: all of it is defined, and zero outside some blocks."""
        shadow = Shadow(elsewhere=HOST)
        for block in blocks.numbers.tolist():
            shadow.fill(block * BLOCK_BYTES, BLOCK_BYTES, HOST)
        self.shadow.replace(memory, shadow)
        if memory == "mram":
            self.alternatives.clear()
        self.unused.forget(memory)

    def begin_launch(self) -> None:
        """Kernels may use whatever the host has written; what they wrote before is an earlier launch's."""
        self.unused.clear()
        self.shadow.wram.begin_launch()
        self.shadow.mram.begin_launch()

    def lose_track(self) -> None:
        """A launch went on where the run on the side did not: it may have written anything anywhere."""
        for memory, nr_bytes in _sizes(self._hardware):
            shadow = Shadow()
            shadow.fill(0, nr_bytes, HOST)
            self.shadow.replace(memory, shadow)
        self.alternatives.clear()

    def written(self, command: Write, place: SourcePlace) -> None:
        """The host has written."""
        written = range(command.address, command.address + command.nbytes)
        self.unused.add(HostWrite(command.memory, written, place))
        self.shadow.of(command.memory).fill(command.address, command.nbytes, HOST)
        if command.memory == "mram":
            self._settle(command.address, command.nbytes)

    def read(self, command: Read) -> None:
        """The host has read: it has used what it wrote there, and goes on from the values that it saw."""
        self.unused.used(command.memory, range(command.address, command.address + command.nbytes))
        if command.memory == "mram":
            self._settle(command.address, command.nbytes)

    def unwritten_words(self, command: Read) -> NDArray[np.bool_]:
        """Which words of a transfer nobody has ever written, bool [nbytes / 8]; it ends at a whole word of MRAM."""
        states = np.frombuffer(self.shadow.of(command.memory).states(command.address, command.nbytes), np.uint8)
        words: NDArray[np.bool_] = (states.reshape(-1, WORD_BYTES) == UNDEFINED).all(axis=1)
        return words

    def tainted(self, command: Read) -> tuple[int, Origin] | None:
        """The first byte of a transfer whose value depends on what nobody has written, and on what."""
        states = self.shadow.of(command.memory).states(command.address, command.nbytes)
        if TAINTED not in states:
            return None
        address = command.address + states.index(TAINTED)
        return address, self.shadow.taints[command.memory, address]

    def finding(self, kind: Kind, symbol: str, places: tuple[SourcePlace, ...], text: str) -> Finding:
        """A finding about this DPU and the host."""
        return Finding(
            kind=kind,
            program=self.binary.name,
            symbol=symbol,
            places=tuple(dict.fromkeys(places)),
            dpus=(self.dpu,),
            dpus_per_rank=self._hardware.geometry.dpus_per_rank,
            tasklets=(),
            phase=None,
            text=text,
        )

    def _settle(self, address: int, nr_bytes: int) -> None:
        """Bytes of MRAM are what they are in any conditions."""
        for alternative in self.alternatives.values():
            alternative.forget(address, nr_bytes)


def _sizes(hardware: Hardware) -> tuple[tuple[Memory, int], ...]:
    """The memories of a DPU, bytes each."""
    return ("wram", hardware.dpu.wram_bytes), ("mram", hardware.dpu.mram_bytes)
