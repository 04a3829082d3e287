"""Who runs next in the interpreted engine: the orders in which the tasklets of a DPU take their steps.

A step ends where a tasklet yields. Every launch of a DPU has a fresh order: what a seed shows on one DPU it shows on
any, whatever ran before.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Literal, Protocol

__all__ = ["TaskletOrder", "Turns", "turns_of"]

TaskletOrder = Literal["cyclic", "random", "priority"]

LONGEST_REIGN = 256  # steps; long enough to fill usual queues, and soon over for a tasklet that polls


class Turns(Protocol):
    """An order of the tasklets of one DPU in one launch."""

    def candidates(self, alive: list[int]) -> Iterable[int]:
        """Who may take a step, the first that can being the first to do so; never empty unless `alive` is."""

    def again(self, tasklet: int) -> bool:
        """A tasklet has taken a step; whether to choose anew, or to go on with the candidates."""


class CyclicTurns:
    """One after the other, a step each: as compiled code and, nearly, the hardware."""

    def candidates(self, alive: list[int]) -> list[int]:
        return list(alive)

    def again(self, tasklet: int) -> bool:
        return False


class RandomTurns(CyclicTurns):
    """A step each, in another random order each time."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def candidates(self, alive: list[int]) -> list[int]:
        return self._random.sample(alive, len(alive))


class PriorityTurns:
    """Whoever has the highest priority runs as long as it can, which starves the others (Burckhardt et al. 2010, PCT).

    A tasklet that has taken a random number of steps, of any order of magnitude up to LONGEST_REIGN, goes to the end of
    the queue: so the order changes in the midst of things, and nobody who polls keeps the others from it for ever.
    """

    def __init__(self, seed: int, nr_tasklets: int) -> None:
        self._random = random.Random(seed)
        self._queue = self._random.sample(range(nr_tasklets), nr_tasklets)
        self._steps_left = [self._reign() for _ in range(nr_tasklets)]

    def candidates(self, alive: list[int]) -> list[int]:
        return [tasklet for tasklet in self._queue if tasklet in alive]

    def again(self, tasklet: int) -> bool:
        self._steps_left[tasklet] -= 1
        if self._steps_left[tasklet] == 0:
            self._steps_left[tasklet] = self._reign()
            self._queue.remove(tasklet)
            self._queue.append(tasklet)
        return True

    def _reign(self) -> int:
        return int(LONGEST_REIGN ** self._random.random())


def turns_of(order: TaskletOrder, seed: int, nr_tasklets: int) -> Turns:
    """A fresh order for one launch of one DPU."""
    if order == "priority":
        return PriorityTurns(seed, nr_tasklets)
    return RandomTurns(seed) if order == "random" else CyclicTurns()
