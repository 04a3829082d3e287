"""Happens-before between the tasklets of one launch, as vector clocks (Mattern 1989; Lamport 1978).

A step of tasklet u at its clock c happened before everything that tasklet v does now if v's clock knows c: if
`clocks.knows(v, u, c)`. Knowledge travels with a mutex, with the units of a semaphore, through barriers and handshakes.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

__all__ = ["VectorClocks"]


class VectorClocks:
    """One clock per tasklet: what it has done, and what it knows of the others. Tasklets start knowing nothing."""

    def __init__(self, nr_tasklets: int) -> None:
        self._known = [[0] * nr_tasklets for _ in range(nr_tasklets)]
        self._released: dict[Hashable, list[int]] = {}
        for tasklet, known in enumerate(self._known):
            known[tasklet] = 1

    def now(self, tasklet: int) -> int:
        """The tasklet's own clock: it advances whenever others may learn what was done before."""
        return self._known[tasklet][tasklet]

    def knows(self, tasklet: int, other: int, clock: int) -> bool:
        """Whether what `other` did at `clock` happened before what `tasklet` does now."""
        return clock <= self._known[tasklet][other]

    def release(self, tasklet: int, what: Hashable) -> None:
        """Leave what the tasklet knows with a mutex or semaphore."""
        known = self._known[tasklet]
        self._released[what] = _joined(self._released.get(what, known), known)
        known[tasklet] += 1

    def acquire(self, tasklet: int, what: Hashable) -> None:
        """Learn what was left with a mutex or semaphore."""
        known = self._known[tasklet]
        self._known[tasklet] = _joined(known, self._released.get(what, known))

    def meet(self, tasklets: Sequence[int]) -> None:
        """All learn what each of them knows: a barrier that opens, or both sides of a handshake."""
        together = self._known[tasklets[0]]
        for tasklet in tasklets:
            together = _joined(together, self._known[tasklet])
        for tasklet in tasklets:
            self._known[tasklet] = list(together)
            self._known[tasklet][tasklet] += 1


def _joined(a: Sequence[int], b: Sequence[int]) -> list[int]:
    return [max(pair) for pair in zip(a, b, strict=True)]
