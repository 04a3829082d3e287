"""MRAM, WRAM and counters of the DPUs of one shard, as reserved address space.

One MAP_NORESERVE mapping each: 2,560 DPUs are 160 GiB of addresses and cost only the pages that are touched. Nothing
here knows programs or rules; callers have checked every range.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import resource
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .errors import AllocationError

__all__ = ["PAGE_BYTES", "Reservation"]

MAP_NORESERVE = 0x4000  # Linux; mmap names it since Python 3.13
OVERCOMMIT = Path("/proc/sys/vm/overcommit_memory")  # 2: the system promises no more memory than it has
PAGE_BYTES = mmap.PAGESIZE
PAGE_MAP = Path("/proc/self/pagemap")  # one uint64 for every page of this process's addresses
PRESENT_OR_SWAPPED = np.uint64(0b11 << 62)
CHUNK_PAGES = 1 << 16  # asked for at once; of 2**12 to 2**22 the fastest, as its entries stay in the CPU's cache


class Reservation:
    """Zeroed memory of any size that becomes resident page by page. `array` is a uint8 view of all of it.

    Raises AllocationError when the system has no addresses for it.
    """

    def __init__(self, nr_bytes: int) -> None:
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_NORESERVE
        try:
            self._pages = mmap.mmap(-1, nr_bytes, flags=flags)
        except (OSError, OverflowError) as error:  # no addresses; more than there are on any computer
            raise AllocationError(_refusal(nr_bytes, error)) from error
        # Where transparent huge pages are on for everybody, one touched byte would cost 2 MiB.
        self._pages.madvise(mmap.MADV_NOHUGEPAGE)
        self.array: NDArray[np.uint8] = np.frombuffer(self._pages, np.uint8)

    @property
    def address(self) -> int:
        """Host address of the first byte."""
        return self.array.ctypes.data

    def resident_pages(self, first_byte: int, nr_bytes: int) -> NDArray[np.intp]:
        """The pages of some bytes that were ever touched, in order, as multiples of PAGE_BYTES in the reservation.

        Every byte outside them is zero; a page among them may be zero as well. 160 GiB take 0.15 s. Where
        Linux does not tell a process about its pages, all bytes are read, and the pages are those that are not zero.
        """
        first, end = first_byte // PAGE_BYTES, -(-(first_byte + nr_bytes) // PAGE_BYTES)
        chunks = [range(start, min(start + CHUNK_PAGES, end)) for start in range(first, end, CHUNK_PAGES)]
        try:
            touched = self._mapped(chunks)
        except OSError:
            touched = [pages.start + np.flatnonzero(self._contents(pages).any(axis=1)) for pages in chunks]
        return np.concatenate([np.zeros(0, np.intp), *touched])

    def _mapped(self, chunks: list[range]) -> list[NDArray[np.intp]]:
        """Pages that have memory or swap. Raises OSError where the page map cannot be read."""
        base, touched = self.address // PAGE_BYTES, []
        with PAGE_MAP.open("rb", buffering=0) as page_map:
            for pages in chunks:
                told = os.pread(page_map.fileno(), 8 * len(pages), 8 * (base + pages.start))
                entries = np.frombuffer(told, np.uint64)
                if len(entries) != len(pages):
                    raise OSError(f"{PAGE_MAP} ends before this process's memory")
                touched.append(pages.start + np.flatnonzero(entries & PRESENT_OR_SWAPPED))
        return touched

    def _contents(self, pages: range) -> NDArray[np.uint8]:
        """Bytes of some pages, uint8 [nr_pages, PAGE_BYTES]; a last page that is not whole is filled up with zeros."""
        part = self.array[pages.start * PAGE_BYTES : pages.stop * PAGE_BYTES]
        if len(part) % PAGE_BYTES:
            part = np.append(part, np.zeros(-len(part) % PAGE_BYTES, np.uint8))
        return part.reshape(-1, PAGE_BYTES)

    def release(self) -> None:
        """Give the memory back to the system. A view on `array` that is still alive sees zeros, and keeps its place.

        Such are those in the frames of an exception that is on its way, as after Ctrl-C in a transfer.
        """
        self.array = np.zeros(0, np.uint8)
        try:
            self._pages.close()
        except BufferError:
            self._pages.madvise(mmap.MADV_DONTNEED)


def _refusal(nr_bytes: int, error: OSError | OverflowError) -> str:
    """Why addresses were refused, as far as the system tells, and what helps."""
    reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    mend = "Allocate fewer DPUs, or free other sets"
    if limit != resource.RLIM_INFINITY:
        reason += f"; this process may have {limit:,} bytes of addresses (ulimit -v)"
        mend += ", or raise the limit"
    with contextlib.suppress(OSError):
        if OVERCOMMIT.read_text().strip() == "2":
            reason += f"; {OVERCOMMIT} is 2, which lets no process reserve more than it may use"
            mend += ", or set it to 0"
    return f"no addresses for {nr_bytes:,} bytes of DPU memory: {reason}. {mend}"
