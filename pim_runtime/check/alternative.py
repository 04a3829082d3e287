"""What MRAM would hold after other conditions than the actual ones, where that differs.

A difference is no mistake by itself: buckets that tasklets fill as they come are scratch, and nobody minds their order.
It becomes one when the host reads it. Until then it goes with the memory, from launch to launch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .dpu_shadow import DpuShadow
from .finding import SourcePlace
from .shadow import HOST, PAGE_BYTES, TAINTED, UNDEFINED, WORD_BYTES

__all__ = ["Alternative"]

WORDS_PER_PAGE = PAGE_BYTES // WORD_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """The words of a DPU's MRAM that differ.

    words: address >> 3, ascending, int64 [n]. values: their bytes, as they are and as they would be, uint8 [2, n, 8].
    defined: which of those somebody has written, bool [2, n, 8]. writers: the kernel lines that would have written
    them, by word. races: symbols of the races that may be why.
    """

    words: NDArray[np.int64]
    values: NDArray[np.uint8]
    defined: NDArray[np.bool_]
    writers: Mapping[int, SourcePlace]
    races: frozenset[str]
    _alive: NDArray[np.bool_] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_alive", np.ones(len(self.words), np.bool_))

    def forget(self, address: int, nr_bytes: int) -> None:
        """Some bytes do not differ any more: the host has written them, or seen what they are."""
        self._alive[self._part(address, nr_bytes)] = False

    def differing(self, address: int, nr_bytes: int) -> NDArray[np.intp]:
        """Indices of the words that differ among some bytes."""
        part = self._part(address, nr_bytes)
        return part.start + np.flatnonzero(self._alive[part])

    def pages(self) -> set[int]:
        """The pages of the words that differ."""
        return set((self.words[self._alive] // WORDS_PER_PAGE).tolist())

    def apply(self, mram: NDArray[np.uint8], shadow: DpuShadow) -> None:
        """Put the words into a copy of the memory, uint8 [bytes], and of what is known of it."""
        words, defined = self.words[self._alive], self.defined[1][self._alive]
        mram.reshape(-1, WORD_BYTES)[words] = self.values[1][self._alive]
        page_of = words // WORDS_PER_PAGE
        for page in np.unique(page_of).tolist():
            here = page_of == page
            states = shadow.mram.page_states(page).reshape(-1, WORD_BYTES).copy()
            inside = words[here] % WORDS_PER_PAGE
            known = np.where(np.isin(states[inside], (UNDEFINED, TAINTED)), HOST, states[inside])
            states[inside] = np.where(defined[here], known, UNDEFINED)
            shadow.mram.set(page * PAGE_BYTES, states.tobytes())
        shadow.writers.update({("mram", word): self.writers[word] for word in words.tolist() if word in self.writers})

    def _part(self, address: int, nr_bytes: int) -> slice:
        first, stop = np.searchsorted(self.words, (address // WORD_BYTES, -(-(address + nr_bytes) // WORD_BYTES)))
        return slice(int(first), int(stop))
