"""Watches the memory accesses of one run; says for each what it means for races and for values."""

from __future__ import annotations

from collections.abc import Collection

from .dpu_shadow import DpuShadow
from .names import WRAM_HEAP
from .race_watch import RaceWatch
from .scene import Scene
from .sync_watch import SyncWatch
from .undefined import Origin
from .value_watch import ValueWatch

__all__ = ["MemoryWatch"]


class MemoryWatch:
    """Every access of a tasklet is reported here.

    keeps: symbols whose values outlive launches on purpose.
    """

    def __init__(self, scene: Scene, sync: SyncWatch, shadow: DpuShadow, keeps: Collection[str]) -> None:
        self._scene, self._sync, self._shadow = scene, sync, shadow
        self._races, self._values = RaceWatch(scene, sync.clocks), ValueWatch(scene, shadow, keeps)
        self._heap_is_fresh = False

    def loaded(self, tasklet: int, address: int, nr_bytes: int) -> Origin | None:
        """An element of WRAM is loaded; why its value is undefined, or None for an ordinary one."""
        place = self._sync.step(tasklet)
        self._races.reads("wram", address, nr_bytes, tasklet, place)
        return self._values.loaded(tasklet, address, nr_bytes, place)

    def stored(self, tasklet: int, address: int, nr_bytes: int, value: int, origin: Origin | None) -> None:
        """An element of WRAM is stored; `origin` says why its value is undefined."""
        place = self._sync.step(tasklet)
        stored = int(value) & ((1 << 8 * nr_bytes) - 1) if origin is None else None
        self._races.writes("wram", address, nr_bytes, tasklet, place, stored)
        self._values.stored(tasklet, address, nr_bytes, place, origin)

    def used(self, origin: Origin, purpose: str) -> None:
        """Something depends on an undefined value."""
        tasklet = self._scene.running()
        self._values.used(tasklet, origin, purpose, self._sync.step(tasklet))

    def dma_read(self, tasklet: int, mram_address: int, wram_address: int, nr_bytes: int) -> bytes:
        """MRAM is copied to WRAM; gives the states of the bytes."""
        place = self._sync.step(tasklet)
        self._races.reads("mram", mram_address, nr_bytes, tasklet, place)
        self._races.writes("wram", wram_address, nr_bytes, tasklet, place)
        return self._values.dma_read(mram_address, wram_address, nr_bytes)

    def dma_write(self, tasklet: int, wram_address: int, mram_address: int, nr_bytes: int) -> None:
        """WRAM is copied to MRAM."""
        place = self._sync.step(tasklet)
        self._races.reads("wram", wram_address, nr_bytes, tasklet, place)
        self._races.writes("mram", mram_address, nr_bytes, tasklet, place)
        self._values.dma_write(tasklet, wram_address, mram_address, nr_bytes, place)

    def allocated(self, tasklet: int, address: int, nr_bytes: int, *, heap_start: int, first_free: int) -> None:
        """mem_alloc has given memory from a heap that was free from `first_free` on; it is locked inside."""
        place = self._sync.step(tasklet)
        self._values.allocated(address, nr_bytes)
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
        self._values.ends()
        self._shadow.writers.update(self._races.last_writes())
