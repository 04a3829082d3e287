"""Watches the values of one run: those that nobody has written, and those that an earlier launch has left."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from ..commands import Memory
from ..device.wram_map import FIRST_VARIABLE
from .dpu_shadow import DpuShadow
from .finding import SourcePlace
from .names import RUNTIME_WORDS, WRAM_HEAP
from .scene import Scene
from .shadow import EARLIER, HOST, TAINTED, THIS, UNDEFINED, WORD_BYTES
from .undefined import Origin

__all__ = ["ValueWatch"]

_READ = bytes.maketrans(bytes([HOST]), bytes([THIS]))  # what becomes of a byte's state in a DMA to WRAM
_WRITTEN = bytes.maketrans(bytes([HOST, EARLIER]), bytes([THIS, THIS]))  # and in one to MRAM


class _Source(NamedTuple):
    """Where a DMA took a word from, and whether it brought values that somebody has written, too."""

    mram_address: int
    is_padding: bool


class ValueWatch:
    """keeps: symbols whose values outlive launches on purpose."""

    def __init__(self, scene: Scene, shadow: DpuShadow, keeps: Collection[str]) -> None:
        self._scene, self._shadow, self._keeps = scene, shadow, keeps
        self._wram, self._mram = shadow.wram, shadow.mram
        self._sources: dict[int, _Source] = {}  # of WRAM words that a DMA brought undefined or stale

    def loaded(self, tasklet: int, address: int, nr_bytes: int, place: SourcePlace) -> Origin | None:
        """An element of WRAM is loaded; why its value is undefined, or None for an ordinary one."""
        if address < FIRST_VARIABLE:
            self._runtime_word(tasklet, address, "reads", place)
        states = self._wram.states(address, nr_bytes)
        if UNDEFINED in states:
            return self._origin(address + states.index(UNDEFINED), place)
        if TAINTED in states:
            return self._shadow.taints["wram", address + states.index(TAINTED)]
        if EARLIER in states:
            self._leftover(tasklet, address + states.index(EARLIER), place)
        return None

    def stored(self, tasklet: int, address: int, nr_bytes: int, place: SourcePlace, origin: Origin | None) -> None:
        """An element of WRAM is stored; `origin` says why its value is undefined."""
        if address < FIRST_VARIABLE:
            self._runtime_word(tasklet, address, "writes", place)
        self._wram.fill(address, nr_bytes, THIS if origin is None else TAINTED)
        if origin is not None:
            self._shadow.taints.update({("wram", byte): origin for byte in range(address, address + nr_bytes)})

    def used(self, tasklet: int, origin: Origin, purpose: str, place: SourcePlace) -> None:
        """Something depends on an undefined value."""
        loaded = "" if origin.place == place else f", loaded at {origin.place},"
        self._scene.say(
            "uninitialised",
            origin.symbol,
            (tasklet,),
            (origin.place, place),
            lambda: (
                f"tasklet {tasklet} uses {origin.name}{loaded} {purpose} at {place}: the value is whatever the"
                " memory held. Write it first, or leave it out"
            ),
        )

    def dma_read(self, mram_address: int, wram_address: int, nr_bytes: int) -> bytes:
        """MRAM is copied to WRAM, which does not use the values yet; gives the states of the bytes."""
        states = self._mram.states(mram_address, nr_bytes).translate(_READ)
        self._wram.set(wram_address, states)
        if states.count(THIS) == nr_bytes:
            self._forget_sources(wram_address, nr_bytes)
            return states
        is_padding = THIS in states or EARLIER in states
        for offset in range(0, nr_bytes, WORD_BYTES):
            self._sources[(wram_address + offset) >> 3] = _Source(mram_address + offset, is_padding)
        self._copy_taints("mram", mram_address, "wram", wram_address, states)
        return states

    def dma_write(self, tasklet: int, wram_address: int, mram_address: int, nr_bytes: int, place: SourcePlace) -> None:
        """WRAM is copied to MRAM. Undefined bytes may be padding: they stay undefined, and are no mistake yet."""
        states = self._wram.states(wram_address, nr_bytes)
        if EARLIER in states:
            self._leftover(tasklet, wram_address + states.index(EARLIER), place)
        self._mram.set(mram_address, states.translate(_WRITTEN))
        self._copy_taints("wram", wram_address, "mram", mram_address, states)

    def allocated(self, address: int, nr_bytes: int) -> None:
        """mem_alloc has given memory, whose contents are undefined."""
        self._wram.fill(address, nr_bytes, UNDEFINED)
        self._forget_sources(address, nr_bytes)

    def ends(self) -> None:
        """Undefined values in variables outlive the launch: the host or the next launch sees them.

        But a variable that only the kernel sees may be a buffer, and what was computed of its padding lies there.
        """
        for symbol in self._scene.names.wram_variables:
            states = self._wram.states(symbol.address, symbol.nbytes)
            if TAINTED in states:
                address = symbol.address + states.index(TAINTED)
                origin = self._shadow.taints["wram", address]
                if symbol.section == "host" or not origin.is_padding:
                    self._result(self._scene.names.of("wram", address).text, origin)

    def _result(self, text: str, origin: Origin) -> None:
        self._scene.say(
            "uninitialised",
            origin.symbol,
            (),
            (origin.place,),
            lambda: (
                f"{text}, which outlives the launch, depends on {origin.name}, loaded at {origin.place}: the value is"
                " whatever the memory held. Write it first, or leave it out"
            ),
        )

    def _origin(self, address: int, place: SourcePlace) -> Origin:
        memory, source = self._source(address)
        name = self._scene.names.of(memory, source)
        heap = memory == "wram" and name.symbol == WRAM_HEAP
        nobody = "which nobody has written since mem_alloc" if heap else "which neither host nor kernel has written"
        is_padding = memory == "mram" and self._sources[address >> 3].is_padding
        return Origin(name.symbol, f"{name.text}, {nobody}", place, is_padding)

    def _leftover(self, tasklet: int, address: int, place: SourcePlace) -> None:
        memory, source = self._source(address)
        name = self._scene.names.of(memory, source)
        if name.symbol in self._keeps:
            return
        writer = self._shadow.writers.get((memory, source >> 3))
        self._scene.say(
            "leftover",
            name.symbol,
            (tasklet,),
            (place,) if writer is None else (place, writer),
            lambda: (
                f"tasklet {tasklet} uses {name.text} at {place}, but the value is what an earlier launch left"
                + (f" at {writer}" if writer else "")
                + ". Write it in this launch or from the host first; if it is kept on purpose, say so:"
                f" Check(keeps=({name.symbol!r},))"
            ),
        )

    def _runtime_word(self, tasklet: int, address: int, verb: str, place: SourcePlace) -> None:
        self._scene.say(
            "runtime words",
            RUNTIME_WORDS,
            (tasklet,),
            (place,),
            lambda: (
                f"tasklet {tasklet} {verb} WRAM {address:#x} at {place}: below {FIRST_VARIABLE:#x} are the null"
                " word and the runtime's own variables (a NULL pointer, which hardware does not notice?). Use the"
                " address of a variable or of mem_alloc"
            ),
        )

    def _copy_taints(self, memory: Memory, address: int, to_memory: Memory, to_address: int, states: bytes) -> None:
        if TAINTED in states:
            for offset, state in enumerate(states):
                if state == TAINTED:
                    self._shadow.taints[to_memory, to_address + offset] = self._shadow.taints[memory, address + offset]

    def _forget_sources(self, wram_address: int, nr_bytes: int) -> None:
        if self._sources:
            for word in range(wram_address >> 3, (wram_address + nr_bytes + 7) >> 3):
                self._sources.pop(word, None)

    def _source(self, address: int) -> tuple[Memory, int]:
        """Where the value at a WRAM address came from, if a DMA brought it undefined or stale."""
        source = self._sources.get(address >> 3)
        return ("wram", address) if source is None else ("mram", source.mram_address + (address & 7))
