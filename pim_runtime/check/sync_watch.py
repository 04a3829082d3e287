"""Watches the synchronisation of one run: passes knowledge between the tasklets' clocks, and finds misused mutexes."""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

from ..device.run_record import NR_MUTEX_BITS
from ..symbols import Mutex
from .clocks import VectorClocks
from .finding import SourcePlace
from .scene import Scene

__all__ = ["SyncWatch"]


class _Taking(NamedTuple):
    """What a tasklet waits for, and has taken when it runs again."""

    key: Hashable
    place: SourcePlace
    mutex: Mutex | None


class SyncWatch:
    """Every call of a synchronisation function is reported here, before it has an effect."""

    def __init__(self, scene: Scene) -> None:
        self.clocks = VectorClocks(scene.nr_tasklets)
        self._scene = scene
        self._taking: list[_Taking | None] = [None] * scene.nr_tasklets
        self._meetings: dict[Hashable, list[int]] = {}
        self._locked: dict[int, tuple[Mutex, SourcePlace]] = {}

    def step(self, tasklet: int) -> SourcePlace:
        """A tasklet runs, so it has what it waited for; gives the line that it has reached."""
        self._settle(tasklet)
        return self._scene.place()

    def _settle(self, tasklet: int) -> None:
        taking = self._taking[tasklet]
        if taking is not None:
            self._taking[tasklet] = None
            self.clocks.acquire(tasklet, taking.key)
            if taking.mutex is not None:
                self._locked[taking.mutex.bit] = taking.mutex, taking.place

    def locks(self, tasklet: int, mutex: Mutex) -> None:
        """mutex_lock."""
        place = self.step(tasklet)
        if self._scene.owner(mutex.bit) == tasklet:
            first = self._locked[mutex.bit][1]
            self._scene.say(
                "mutex",
                mutex.name,
                (tasklet,),
                (place, first),
                lambda: (
                    f"tasklet {tasklet} locks mutex {mutex.name!r} at {place}, but holds it since {first}: it waits"
                    " for itself for ever. Unlock it first; a mutex is not recursive"
                ),
            )
        self._taking[tasklet] = _Taking(("mutex", mutex.bit), place, mutex)

    def has_locked(self, tasklet: int, mutex: Mutex) -> None:
        """mutex_trylock was successful."""
        self._taking[tasklet] = _Taking(("mutex", mutex.bit), self._scene.place(), mutex)
        self._settle(tasklet)

    def unlocks(self, tasklet: int, mutex: Mutex) -> None:
        """mutex_unlock."""
        place, owner = self.step(tasklet), self._scene.owner(mutex.bit)
        mend = "Lock and unlock a mutex in the same tasklet"
        if owner is None:
            self._scene.say(
                "mutex",
                mutex.name,
                (tasklet,),
                (place,),
                lambda: f"tasklet {tasklet} unlocks mutex {mutex.name!r} at {place}, which nobody holds. {mend}",
            )
        elif owner != tasklet:
            self._settle(owner)
            locked = self._locked[mutex.bit][1]
            self._scene.say(
                "mutex",
                mutex.name,
                (tasklet, owner),
                (place, locked),
                lambda: (
                    f"tasklet {tasklet} unlocks mutex {mutex.name!r} at {place}, which tasklet {owner} holds since"
                    f" {locked}: its critical section is open to all. {mend}"
                ),
            )
        self.clocks.release(tasklet, ("mutex", mutex.bit))

    def gives(self, tasklet: int, semaphore: int) -> None:
        """sem_give, of the semaphore at a WRAM address."""
        self.step(tasklet)
        self.clocks.release(tasklet, ("semaphore", semaphore))

    def takes(self, tasklet: int, semaphore: int) -> None:
        """sem_take, of the semaphore at a WRAM address."""
        self._taking[tasklet] = _Taking(("semaphore", semaphore), self.step(tasklet), None)

    def arrives(self, tasklet: int, barrier: int, missing: int) -> None:
        """barrier_wait at a barrier that lacks `missing` tasklets, this one included."""
        self._meet(tasklet, ("barrier", barrier), complete=missing == 1)

    def shakes_hands(self, tasklet: int, notifier: int) -> None:
        """handshake_wait_for(notifier), or handshake_notify of the notifier itself: whoever is second completes it."""
        key = "handshake", notifier
        self._meet(tasklet, key, complete=bool(self._meetings.get(key)))

    def _meet(self, tasklet: int, key: Hashable, *, complete: bool) -> None:
        self.step(tasklet)
        here = self._meetings.setdefault(key, [])
        here.append(tasklet)
        if complete:
            self.clocks.meet(here)
            here.clear()

    def ends(self) -> None:
        """All tasklets have finished; whoever holds a mutex now holds it for ever."""
        for tasklet in range(self._scene.nr_tasklets):
            self._settle(tasklet)
        for bit in range(NR_MUTEX_BITS):
            owner = self._scene.owner(bit)
            if owner is not None:
                self._held_at_exit(owner, *self._locked[bit])

    def _held_at_exit(self, tasklet: int, mutex: Mutex, place: SourcePlace) -> None:
        self._scene.say(
            "mutex",
            mutex.name,
            (tasklet,),
            (place,),
            lambda: (
                f"tasklet {tasklet} ends and still holds mutex {mutex.name!r}, locked at {place}. Unlock it on"
                " every way out of the kernel"
            ),
        )
