"""A machine: its hardware, and which of its ranks are taken.

The unit of allocation is the rank (upmem-sdk 2.4): a set of n DPUs takes whole ranks, and the DPUs that are left over
in the last one serve nobody else. Ranks come back when a set is freed, or collected unfreed.
"""

from __future__ import annotations

import functools
import threading
import weakref

from .allocation import Allocation
from .engine.protocol import EngineOptions
from .errors import AllocationError
from .forks import renew_after_fork
from .hardware import Hardware, load_profile
from .timing import Clock

__all__ = ["DEFAULT_PROFILE", "Machine", "default_machine"]

DEFAULT_PROFILE = "upmem-v1a"


class Machine:
    """Ranks of DPUs that programs may allocate.

    clock: the form of kernel time in the timelines of its allocations. Default: "closed".
    """

    def __init__(self, hardware: Hardware, *, clock: Clock = "closed") -> None:
        self.hardware, self.clock = hardware, clock
        self._free_ranks = hardware.geometry.ranks
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """The child of a fork has a machine of its own, and nobody else who could hold its lock."""
        # Re-entrant: the garbage collector may give ranks back while this thread allocates some.
        self._lock = threading.RLock()

    @property
    def free_ranks(self) -> int:
        """Ranks that nobody holds."""
        return self._free_ranks

    @property
    def free_dpus(self) -> int:
        """DPUs of the free ranks."""
        return self._free_ranks * self.hardware.geometry.dpus_per_rank

    def allocate_dpus(self, nr_dpus: int | None, options: EngineOptions) -> Allocation:
        """`nr_dpus` DPUs, or None for every free rank. Raises AllocationError when there are not enough."""
        with self._lock:
            per_rank = self.hardware.geometry.dpus_per_rank
            if nr_dpus is None:
                nr_dpus = self.free_dpus
                if not nr_dpus:
                    raise AllocationError(f"no free rank of {self.hardware.geometry.ranks}: free a set first")
            if nr_dpus < 1:
                raise AllocationError(f"{nr_dpus} DPUs requested: at least one is needed")
            nr_ranks = -(-nr_dpus // per_rank)
            if nr_ranks > self._free_ranks:
                raise AllocationError(
                    f"{nr_dpus} DPUs requested, that is {nr_ranks} ranks of {per_rank}: {self._free_ranks} of "
                    f"{self.hardware.geometry.ranks} ranks are free, at most {self._free_ranks * per_rank} DPUs"
                )
            return self._allocate(nr_dpus, nr_ranks, options)

    def allocate_ranks(self, nr_ranks: int, options: EngineOptions) -> Allocation:
        """`nr_ranks` whole ranks. Raises AllocationError when there are not enough."""
        with self._lock:
            if nr_ranks < 1:
                raise AllocationError(f"{nr_ranks} ranks requested: at least one is needed")
            if nr_ranks > self._free_ranks:
                raise AllocationError(
                    f"{nr_ranks} ranks requested: {self._free_ranks} of {self.hardware.geometry.ranks} are free"
                )
            return self._allocate(nr_ranks * self.hardware.geometry.dpus_per_rank, nr_ranks, options)

    def _allocate(self, nr_dpus: int, nr_ranks: int, options: EngineOptions) -> Allocation:
        allocation = Allocation(self.hardware, nr_dpus, options, self.clock)
        self._free_ranks -= nr_ranks
        allocation.when_released = weakref.finalize(allocation, self._take_back, nr_ranks)
        return allocation

    def _take_back(self, nr_ranks: int) -> None:
        with self._lock:
            self._free_ranks += nr_ranks


@functools.cache
def default_machine() -> Machine:
    """The machine of this process, which every set shares that names no other: as on a server, its ranks run out."""
    return Machine(load_profile(DEFAULT_PROFILE))
