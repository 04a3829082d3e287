"""What is known about every byte of a DPU's memory: whether anybody has written it, and who was the last.

Sparse: a page that nobody has touched is undefined and costs nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["EARLIER", "HOST", "PAGE_BYTES", "TAINTED", "THIS", "UNDEFINED", "WORD_BYTES", "Shadow"]

UNDEFINED, HOST, THIS, EARLIER, TAINTED = range(5)
"""Never written; written last by the host or a load, by this launch, by an earlier launch of the same load; or written
with a value that depends on memory that was never written."""

PAGE_BYTES = 4096
WORD_BYTES = 8  # what races, writers and DMAs are told apart by; the word of an address is address >> 3
_NEXT_LAUNCH = bytes.maketrans(bytes([THIS]), bytes([EARLIER]))
_NEXT_LOAD = bytes.maketrans(bytes([THIS, EARLIER]), bytes([HOST, HOST]))


class Shadow:
    """One state per byte of one memory of one DPU; `elsewhere` is that of the pages without states of their own."""

    def __init__(self, elsewhere: int = UNDEFINED) -> None:
        self._pages: dict[int, bytearray] = {}
        self._elsewhere = bytes([elsewhere]) * PAGE_BYTES

    def copy(self) -> Shadow:
        """An independent shadow with the same states."""
        other = Shadow(self._elsewhere[0])
        other._pages = {page: bytearray(states) for page, states in self._pages.items()}
        return other

    @property
    def pages(self) -> list[int]:
        """Numbers of the pages with states of their own, ascending."""
        return sorted(self._pages)

    def states(self, address: int, nr_bytes: int) -> bytes:
        """The states of some bytes."""
        page, first = divmod(address, PAGE_BYTES)
        if first + nr_bytes <= PAGE_BYTES:
            return bytes(self._pages.get(page, self._elsewhere)[first : first + nr_bytes])
        pages = range(page, (address + nr_bytes - 1) // PAGE_BYTES + 1)
        return b"".join(self._pages.get(page, self._elsewhere) for page in pages)[first : first + nr_bytes]

    def set(self, address: int, states: bytes) -> None:
        """Change the states of some bytes."""
        done = 0
        while done < len(states):
            page, first = divmod(address + done, PAGE_BYTES)
            part = states[done : done + PAGE_BYTES - first]
            if page not in self._pages:
                self._pages[page] = bytearray(self._elsewhere)
            self._pages[page][first : first + len(part)] = part
            done += len(part)

    def fill(self, address: int, nr_bytes: int, state: int) -> None:
        """Give some bytes the same state."""
        self.set(address, bytes([state]) * nr_bytes)

    def page_states(self, page: int) -> NDArray[np.uint8]:
        """The states of one page, uint8 [PAGE_BYTES], a copy."""
        return np.frombuffer(bytes(self._pages.get(page, self._elsewhere)), np.uint8)

    def begin_launch(self) -> None:
        """What the last launch wrote is an earlier launch's from now on."""
        self._translate(_NEXT_LAUNCH)

    def begin_load(self) -> None:
        """What the programs so far wrote is given to the next one on purpose."""
        self._translate(_NEXT_LOAD)

    def _translate(self, table: bytes) -> None:
        for page, states in self._pages.items():
            self._pages[page] = states.translate(table)
