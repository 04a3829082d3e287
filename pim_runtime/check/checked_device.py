"""What a checked kernel calls instead of the device library: the same functions, which also report to the watches.

Every function does what the one of the same name in `pim_runtime.device` does.
"""

from __future__ import annotations

import ctypes
from typing import Any

from .. import device
from ..device.integers import IntegerType
from ..device.raw import peek, peek8
from ..device.sync import COUNT
from ..device.tasklet import Tasklet
from ..device.view import View
from ..device.wram_map import HEAP_POINTER, HEAP_START
from ..symbols import Barrier, Mutex, Semaphore, WramSymbol
from .memory_watch import MemoryWatch
from .shadow import UNDEFINED
from .sync_watch import SyncWatch
from .undefined import Undefined, defined

__all__ = ["CheckedDevice", "CheckedSymbol"]


class CheckedView(View):
    """A view that reports the accesses of the tasklet that made it."""

    __slots__ = ("_memory", "_tasklet")

    def __init__(self, view: View, memory: MemoryWatch, tasklet: int) -> None:
        self.kind, self.pointer, self.length = view.kind, view.pointer, view.length
        self.base, self.run, self._cells = view.base, view.run, view._cells
        self._memory, self._tasklet = memory, tasklet

    def __getitem__(self, index: int) -> int:
        index = defined(index, "as an index")
        value = super().__getitem__(index)
        origin = self._memory.loaded(self._tasklet, self.address + index * self.kind.itemsize, self.kind.itemsize)
        return value if origin is None else Undefined.of(value, origin, self._memory.used)

    def __setitem__(self, index: int, value: int) -> None:
        index, origin = defined(index, "as an index"), value.origin if isinstance(value, Undefined) else None
        super().__setitem__(index, value if origin is None else int(value))
        size = self.kind.itemsize
        self._memory.stored(self._tasklet, self.address + index * size, size, value, origin)

    def window(self, first: int, length: int) -> View:
        view = super().window(defined(first, "as an index"), defined(length, "as a length"))
        return CheckedView(view, self._memory, self._tasklet)


class CheckedDevice:
    """The substituted part of the device library.

    poison: the byte that undefined memory is filled with, so that results that depend on it differ.
    """

    def __init__(self, memory: MemoryWatch, sync: SyncWatch, poison: int) -> None:
        self._memory, self._sync, self._poison = memory, sync, poison

    def wram_view(self, t: Tasklet, kind: IntegerType, address: int, length: int) -> View:
        view = device.wram_view(t, kind, defined(address, "as an address"), defined(length, "as a length"))
        return CheckedView(view, self._memory, t.me)

    def mem_alloc(self, t: Tasklet, kind: IntegerType, length: int) -> View:
        heap_start, first_free = peek(t.wram + HEAP_START), peek(t.wram + HEAP_POINTER)
        view = device.mem_alloc(t, kind, defined(length, "as a length"))
        ctypes.memset(view.pointer, self._poison, view.nbytes)
        self._memory.allocated(t.me, view.address, view.nbytes, heap_start=heap_start, first_free=first_free)
        return CheckedView(view, self._memory, t.me)

    def mem_reset(self, t: Tasklet) -> int:
        self._memory.heap_reset(t.me)
        return device.mem_reset(t)

    def mram_read(self, t: Tasklet, mram_address: int, buffer: View, nr_bytes: int) -> None:
        mram_address, nr_bytes = defined(mram_address, "as an address"), defined(nr_bytes, "as a size")
        device.mram_read(t, mram_address, buffer, nr_bytes)
        states = self._memory.dma_read(t.me, mram_address, buffer.address, nr_bytes)
        if UNDEFINED in states:
            for offset, state in enumerate(states):
                if state == UNDEFINED:
                    ctypes.memset(buffer.pointer + offset, self._poison, 1)

    def mram_write(self, t: Tasklet, buffer: View, mram_address: int, nr_bytes: int) -> None:
        mram_address, nr_bytes = defined(mram_address, "as an address"), defined(nr_bytes, "as a size")
        device.mram_write(t, buffer, mram_address, nr_bytes)
        self._memory.dma_write(t.me, buffer.address, mram_address, nr_bytes)

    def barrier_wait(self, t: Tasklet, barrier: Barrier) -> int:
        self._sync.arrives(t.me, barrier.address, peek8(t.wram + barrier.address + COUNT))
        return device.barrier_wait(t, barrier)

    def mutex_lock(self, t: Tasklet, mutex: Mutex) -> int:
        self._sync.locks(t.me, mutex)
        return device.mutex_lock(t, mutex)

    def mutex_trylock(self, t: Tasklet, mutex: Mutex) -> bool:
        locked = device.mutex_trylock(t, mutex)
        if locked:
            self._sync.has_locked(t.me, mutex)
        return locked

    def mutex_unlock(self, t: Tasklet, mutex: Mutex) -> None:
        self._sync.unlocks(t.me, mutex)
        device.mutex_unlock(t, mutex)

    def sem_take(self, t: Tasklet, semaphore: Semaphore) -> int:
        self._sync.takes(t.me, semaphore.address)
        return device.sem_take(t, semaphore)

    def sem_give(self, t: Tasklet, semaphore: Semaphore) -> None:
        self._sync.gives(t.me, semaphore.address)
        device.sem_give(t, semaphore)

    def handshake_notify(self, t: Tasklet) -> int:
        self._sync.shakes_hands(t.me, t.me)
        return device.handshake_notify(t)

    def handshake_wait_for(self, t: Tasklet, notifier: int) -> int:
        notifier = defined(notifier, "as a tasklet")
        code = device.handshake_wait_for(t, notifier)
        self._sync.shakes_hands(t.me, notifier)
        return code


class CheckedSymbol:
    """A WRAM variable whose views report."""

    def __init__(self, symbol: WramSymbol, checked: CheckedDevice) -> None:
        self._symbol, self._checked = symbol, checked

    def __getattr__(self, name: str) -> Any:
        return getattr(self._symbol, name)

    def array(self, t: Tasklet) -> View:
        """All elements, as a view."""
        return self._checked.wram_view(t, self._symbol.kind, self._symbol.address, self._symbol.size)

    def load(self, t: Tasklet) -> int:
        """The value of a scalar (element 0)."""
        return self._checked.wram_view(t, self._symbol.kind, self._symbol.address, 1)[0]

    def store(self, t: Tasklet, value: int) -> None:
        """Set a scalar (element 0)."""
        self._checked.wram_view(t, self._symbol.kind, self._symbol.address, 1)[0] = value
