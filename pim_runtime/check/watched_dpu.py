"""One DPU that the checker follows: its shadow, and what the host does to its memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..commands import Memory, Read, Write
from ..hardware import Hardware
from ..program import DpuBinary
from .dpu_shadow import DpuShadow
from .finding import Finding, Kind, SourcePlace
from .names import AddressName, AddressNames
from .shadow import HOST, UNDEFINED

__all__ = ["WatchedDpu"]

WORD_BYTES = 8


class WatchedDpu:
    """Follows one DPU from its first load on. `names` is the address map of the loaded program."""

    names: AddressNames
    _binary: DpuBinary

    def __init__(self, dpu: int, hardware: Hardware) -> None:
        self.shadow = DpuShadow()
        self._dpu, self._hardware = dpu, hardware
        self._unused: list[tuple[Memory, range, SourcePlace]] = []  # host writes that nobody has read since

    def load(self, binary: DpuBinary, names: AddressNames) -> None:
        """WRAM holds the program's variables and nothing else; what MRAM holds is given to the new program."""
        self._binary, self.names, self._unused = binary, names, []
        self.shadow.mram.begin_load()
        self.shadow.wram.fill(0, self._hardware.dpu.wram_bytes, UNDEFINED)
        self.shadow.wram.fill(0, len(binary.wram_image), HOST)
        for address, image in binary.mram_segments:
            self.shadow.mram.fill(address, len(image), HOST)
        self.shadow.writers.clear()

    def begin_launch(self) -> None:
        """Kernels may use whatever the host has written; what they wrote before is an earlier launch's."""
        self._unused = []
        self.shadow.wram.begin_launch()
        self.shadow.mram.begin_launch()

    def written(self, command: Write, place: SourcePlace) -> Iterator[Finding]:
        """The host has written."""
        new = range(command.address, command.address + command.nbytes)
        for memory, old, other in self._unused:
            both = range(max(old.start, new.start), min(old.stop, new.stop))
            if memory == command.memory and both and both not in (old, new):
                name = self.names.of(memory, both.start)
                text = (
                    f"this host write at {place} and the one at {other} overlap in {len(both)} bytes from {name.text}"
                    " on, and neither replaces the other: a part of the older one is lost before anybody used it. Check"
                    " offsets and lengths (they are in bytes)"
                )
                yield self._finding("transfer", name, (place, other), text)
        self._unused.append((command.memory, new, place))
        self.shadow.of(command.memory).fill(command.address, command.nbytes, HOST)

    def read(self, command: Read, what: str, place: SourcePlace) -> Iterator[Finding]:
        """The host has read. Transfers come in words, so a word counts as written if a byte of it is."""
        bytes_read = range(command.address, command.address + command.nbytes)
        self._unused = [
            (memory, old, other)
            for memory, old, other in self._unused
            if memory != command.memory or old.stop <= bytes_read.start or bytes_read.stop <= old.start
        ]
        if command.memory == "wram" or what == "log":
            return  # a load zeroes what the host can reach in WRAM; printf is not followed
        states = np.frombuffer(self.shadow.mram.states(command.address, command.nbytes), np.uint8)
        unwritten = np.flatnonzero((states.reshape(-1, WORD_BYTES) == UNDEFINED).all(axis=1))
        if len(unwritten):
            name = self.names.of("mram", command.address + WORD_BYTES * int(unwritten[0]))
            text = (
                f"the host reads {command.nbytes} bytes of {what!r} at {place}, of which {WORD_BYTES * len(unwritten)}"
                f" were never written by host or kernel, the first at {name.text}: on hardware they hold what another"
                " program left. Read less, or write them first"
            )
            yield self._finding("uninitialised", name, (place,), text)

    def _finding(self, kind: Kind, name: AddressName, places: tuple[SourcePlace, ...], text: str) -> Finding:
        return Finding(
            kind=kind,
            program=self._binary.name,
            symbol=name.symbol,
            places=tuple(dict.fromkeys(places)),
            dpus=(self._dpu,),
            dpus_per_rank=self._hardware.geometry.dpus_per_rank,
            tasklets=(),
            phase=None,
            text=text,
        )
