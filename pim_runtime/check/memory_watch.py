"""Watches the memory of one run: races, and reads of what nobody has written or an earlier launch has left."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal

from ..commands import Memory
from ..device.wram_map import FIRST_VARIABLE
from .dpu_shadow import DpuShadow
from .finding import SourcePlace
from .names import RUNTIME_WORDS, WRAM_HEAP
from .races import Access, AccessHistory
from .scene import Scene
from .shadow import EARLIER, HOST, THIS, UNDEFINED
from .sync_watch import SyncWatch

__all__ = ["MemoryWatch"]

WORD_BYTES = 8
_WHOLE_WORD = (1 << WORD_BYTES) - 1
_READ = bytes.maketrans(bytes([HOST]), bytes([THIS]))  # what becomes of a byte's state in a DMA to WRAM
_WRITTEN = bytes.maketrans(bytes([HOST, EARLIER]), bytes([THIS, THIS]))  # and in one to MRAM

Verb = Literal["reads", "writes"]


class MemoryWatch:
    """Every access of a tasklet is reported here.

    keeps: symbols whose values outlive launches on purpose.
    """

    def __init__(self, scene: Scene, sync: SyncWatch, shadow: DpuShadow, keeps: Collection[str]) -> None:
        self._scene, self._sync, self._shadow, self._keeps = scene, sync, shadow, keeps
        self._wram, self._mram = shadow.wram, shadow.mram
        self._histories: Mapping[Memory, AccessHistory] = {
            "wram": AccessHistory(sync.clocks),
            "mram": AccessHistory(sync.clocks),
        }
        self._origins: dict[int, int] = {}  # of WRAM words that a DMA brought undefined or stale: their MRAM address
        self._heap_is_fresh = False

    def loaded(self, tasklet: int, address: int, nr_bytes: int) -> None:
        """An element of WRAM is loaded: its value is used."""
        place = self._sync.step(tasklet)
        self._read("wram", address >> 3, _mask(address, nr_bytes), tasklet, place)
        states = self._wram.states(address, nr_bytes)
        if UNDEFINED in states:
            self._undefined(tasklet, address + states.index(UNDEFINED), place)
        elif EARLIER in states:
            self._leftover(tasklet, address + states.index(EARLIER), place)
        if address < FIRST_VARIABLE:
            self._runtime_word(tasklet, address, "reads", place)

    def stored(self, tasklet: int, address: int, nr_bytes: int) -> None:
        """An element of WRAM is stored."""
        place = self._sync.step(tasklet)
        self._write("wram", address >> 3, _mask(address, nr_bytes), tasklet, place)
        self._wram.fill(address, nr_bytes, THIS)
        if address < FIRST_VARIABLE:
            self._runtime_word(tasklet, address, "writes", place)

    def dma_read(self, tasklet: int, mram_address: int, wram_address: int, nr_bytes: int) -> bytes:
        """MRAM is copied to WRAM, which does not use the values yet; gives the states of the bytes."""
        place = self._sync.step(tasklet)
        for word in _words(mram_address, nr_bytes):
            self._read("mram", word, _WHOLE_WORD, tasklet, place)
        for word in _words(wram_address, nr_bytes):
            self._write("wram", word, _WHOLE_WORD, tasklet, place)
        states = self._mram.states(mram_address, nr_bytes).translate(_READ)
        self._wram.set(wram_address, states)
        if states.count(THIS) < nr_bytes:
            addresses = range(mram_address, mram_address + nr_bytes, WORD_BYTES)
            self._origins.update(zip(_words(wram_address, nr_bytes), addresses, strict=True))
        else:
            self._forget_origins(wram_address, nr_bytes)
        return states

    def dma_write(self, tasklet: int, wram_address: int, mram_address: int, nr_bytes: int) -> None:
        """WRAM is copied to MRAM. Undefined bytes may be padding: they stay undefined, and are no mistake yet."""
        place = self._sync.step(tasklet)
        for word in _words(wram_address, nr_bytes):
            self._read("wram", word, _WHOLE_WORD, tasklet, place)
        for word in _words(mram_address, nr_bytes):
            self._write("mram", word, _WHOLE_WORD, tasklet, place)
        states = self._wram.states(wram_address, nr_bytes)
        if EARLIER in states:
            self._leftover(tasklet, wram_address + states.index(EARLIER), place)
        self._mram.set(mram_address, states.translate(_WRITTEN))

    def allocated(self, tasklet: int, address: int, nr_bytes: int, *, heap_start: int, first_free: int) -> None:
        """mem_alloc has given memory, whose contents are undefined, from a heap that was free from `first_free` on."""
        place = self._sync.step(tasklet)
        self._wram.fill(address, nr_bytes, UNDEFINED)
        self._forget_origins(address, nr_bytes)
        if not self._heap_is_fresh and first_free != heap_start:
            self._scene.say(
                "leftover",
                WRAM_HEAP,
                (tasklet,),
                (place,),
                lambda: (
                    f"mem_alloc at {place} goes on behind the {first_free - heap_start} bytes that an earlier launch"
                    " allocated: the heap outlives a launch, and some launches later it is full. Call mem_reset() in"
                    " one tasklet first, and let the others wait for it at a barrier"
                ),
            )
        self._heap_is_fresh = True

    def heap_reset(self, tasklet: int) -> None:
        """mem_reset gives all heap memory back."""
        self._sync.step(tasklet)
        self._heap_is_fresh = True

    def ends(self) -> None:
        """The launch is over: what it wrote is left to the next ones."""
        for memory, history in self._histories.items():
            for word, place in history.last_writes().items():
                self._shadow.writers[memory, word] = place

    def _forget_origins(self, wram_address: int, nr_bytes: int) -> None:
        if self._origins:
            for word in _words(wram_address, nr_bytes):
                self._origins.pop(word, None)

    def _read(self, memory: Memory, word: int, mask: int, tasklet: int, place: SourcePlace) -> None:
        access = self._histories[memory].read(word, mask, tasklet, place)
        if access is not None:
            self._race(memory, word, mask, (tasklet, "reads", place), access, "writes")

    def _write(self, memory: Memory, word: int, mask: int, tasklet: int, place: SourcePlace) -> None:
        write, read = self._histories[memory].write(word, mask, tasklet, place)
        if write is not None:
            self._race(memory, word, mask, (tasklet, "writes", place), write, "writes")
        if read is not None:
            self._race(memory, word, mask, (tasklet, "writes", place), read, "reads")

    def _race(
        self,
        memory: Memory,
        word: int,
        mask: int,
        accessor: tuple[int, Verb, SourcePlace],
        other: Access,
        other_verb: Verb,
    ) -> None:
        tasklet, verb, place = accessor
        common = mask & other.mask
        name = self._scene.names.of(memory, WORD_BYTES * word + (common & -common).bit_length() - 1)
        self._scene.say(
            "race",
            name.symbol,
            (tasklet, other.tasklet),
            (other.place, place),
            lambda: (
                f"tasklet {other.tasklet} {other_verb} {name.text} at {other.place}, tasklet {tasklet} {verb} it at"
                f" {place}, and nothing orders the two: which comes first is chance. Put a barrier or a handshake"
                " between them, or do both under one mutex"
            ),
        )

    def _undefined(self, tasklet: int, address: int, place: SourcePlace) -> None:
        memory, source = self._source(address)
        name = self._scene.names.of(memory, source)
        heap = memory == "wram" and name.symbol == WRAM_HEAP
        nobody = "since mem_alloc nobody has written it" if heap else "neither host nor kernel has written it"
        self._scene.say(
            "uninitialised",
            name.symbol,
            (tasklet,),
            (place,),
            lambda: (
                f"tasklet {tasklet} uses {name.text} at {place}, but {nobody}: the value is whatever memory held."
                f" Write it first{'' if heap else ', or read less'}"
            ),
        )

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

    def _runtime_word(self, tasklet: int, address: int, verb: Verb, place: SourcePlace) -> None:
        self._scene.say(
            "runtime words",
            RUNTIME_WORDS,
            (tasklet,),
            (place,),
            lambda: (
                f"tasklet {tasklet} {verb} WRAM {address:#x} at {place}: below {FIRST_VARIABLE:#x} are the null word"
                " and the runtime's own variables (a NULL pointer, which hardware does not notice?). Use the address of"
                " a variable or of mem_alloc"
            ),
        )

    def _source(self, address: int) -> tuple[Memory, int]:
        """Where the value at a WRAM address came from, if a DMA brought it undefined or stale."""
        origin = self._origins.get(address >> 3)
        return ("wram", address) if origin is None else ("mram", origin + (address & 7))


def _mask(address: int, nr_bytes: int) -> int:
    return ((1 << nr_bytes) - 1) << (address & 7)


def _words(address: int, nr_bytes: int) -> range:
    return range(address >> 3, (address + nr_bytes + 7) >> 3)
