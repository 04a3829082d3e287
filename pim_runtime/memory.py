"""MRAM, WRAM and counters of the DPUs of one shard, as reserved address space.

One MAP_NORESERVE mapping each: 2,560 DPUs are 160 GiB of addresses and cost only the pages that are touched. Nothing
here knows programs or rules; callers have checked every range.
"""

from __future__ import annotations

import mmap

import numpy as np
from numpy.typing import NDArray

__all__ = ["Reservation"]

MAP_NORESERVE = 0x4000  # Linux; mmap names it since Python 3.13


class Reservation:
    """Zeroed memory of any size that becomes resident page by page. `array` is a uint8 view of all of it."""

    def __init__(self, nr_bytes: int) -> None:
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_NORESERVE
        self._pages = mmap.mmap(-1, nr_bytes, flags=flags)
        # Where transparent huge pages are on for everybody, one touched byte would cost 2 MiB.
        self._pages.madvise(mmap.MADV_NOHUGEPAGE)
        self.array: NDArray[np.uint8] = np.frombuffer(self._pages, np.uint8)

    @property
    def address(self) -> int:
        """Host address of the first byte."""
        return self.array.ctypes.data

    def release(self) -> None:
        """Give the memory back to the system. No view on `array` may be alive."""
        self.array = np.zeros(0, np.uint8)
        self._pages.close()
