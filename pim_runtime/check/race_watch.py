"""Watches one run for data races: names both accesses, their lines and tasklets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from ..commands import Memory
from .clocks import VectorClocks
from .finding import SourcePlace
from .races import Access, AccessHistory
from .scene import Scene
from .shadow import WORD_BYTES

__all__ = ["RaceWatch"]

WHOLE_WORD = (1 << WORD_BYTES) - 1

Verb = Literal["reads", "writes"]


class RaceWatch:
    """Accesses to both memories. An access of up to 8 bytes lies in one word; longer ones are whole words."""

    def __init__(self, scene: Scene, clocks: VectorClocks) -> None:
        self._scene = scene
        self._histories: Mapping[Memory, AccessHistory] = {
            "wram": AccessHistory(clocks),
            "mram": AccessHistory(clocks),
        }

    def reads(self, memory: Memory, address: int, nr_bytes: int, tasklet: int, place: SourcePlace) -> None:
        """A tasklet reads."""
        history = self._histories[memory]
        for word, mask in _words(address, nr_bytes):
            write = history.read(word, mask, tasklet, place)
            if write is not None:
                self._report(memory, word, mask, (tasklet, "reads", place), write, "writes")

    def writes(
        self,
        memory: Memory,
        address: int,
        nr_bytes: int,
        tasklet: int,
        place: SourcePlace,
        stored: int | None = None,
    ) -> None:
        """A tasklet writes; `stored` is the value if a single store does it."""
        history = self._histories[memory]
        for word, mask in _words(address, nr_bytes):
            write, read = history.write(word, mask, tasklet, place, stored)
            if write is not None:
                self._report(memory, word, mask, (tasklet, "writes", place), write, "writes")
            if read is not None:
                self._report(memory, word, mask, (tasklet, "writes", place), read, "reads")

    def last_writes(self) -> dict[tuple[Memory, int], SourcePlace]:
        """Where each word (address >> 3) of each memory was written last."""
        return {
            (memory, word): place
            for memory, history in self._histories.items()
            for word, place in history.last_writes().items()
        }

    def _report(
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


def _words(address: int, nr_bytes: int) -> list[tuple[int, int]]:
    """The words of an access, and which of their bytes it touches."""
    if nr_bytes <= WORD_BYTES:
        return [(address >> 3, ((1 << nr_bytes) - 1) << (address & 7))]
    return [(word, WHOLE_WORD) for word in range(address >> 3, (address + nr_bytes) >> 3)]
