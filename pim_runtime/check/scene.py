"""Where a checked run stands and how it says what is wrong: shared by what watches memory and synchronisation."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..device.run_record import MUTEX_OWNERS, PHASE, TASKLET
from .finding import Finding, Kind, SourcePlace
from .names import AddressNames
from .places import kernel_place

__all__ = ["Scene"]


class Scene:
    """One run of a program on one DPU.

    record: the run record. codes: ids of the code objects of the kernel and its helpers. report: takes findings.
    """

    def __init__(
        self,
        *,
        program: str,
        dpu: int,
        dpus_per_rank: int,
        nr_tasklets: int,
        names: AddressNames,
        record: NDArray[np.int64],
        codes: Collection[int],
        report: Callable[[Finding], None],
    ) -> None:
        self.program, self.dpu, self.nr_tasklets, self.names = program, dpu, nr_tasklets, names
        self._dpus_per_rank, self._record, self._codes, self._report = dpus_per_rank, record, codes, report
        self._said: set[tuple[Any, ...]] = set()

    def place(self) -> SourcePlace:
        """The line that the running tasklet has reached."""
        return kernel_place(self._codes)

    def running(self) -> int:
        """The running tasklet."""
        return int(self._record[TASKLET])

    def owner(self, bit: int) -> int | None:
        """The tasklet that holds a mutex."""
        return int(self._record[MUTEX_OWNERS + bit]) - 1 if self._record[MUTEX_OWNERS + bit] else None

    def say(
        self,
        kind: Kind,
        symbol: str,
        tasklets: tuple[int, ...],
        places: tuple[SourcePlace, ...],
        text: Callable[[], str],
    ) -> None:
        """Report a mistake once per run, tasklets and places: a loop repeats it."""
        key = kind, symbol, tasklets, places
        if key in self._said:
            return
        self._said.add(key)
        self._report(
            Finding(
                kind=kind,
                program=self.program,
                symbol=symbol,
                places=tuple(dict.fromkeys(places)),
                dpus=(self.dpu,),
                dpus_per_rank=self._dpus_per_rank,
                tasklets=tuple(sorted(set(tasklets))),
                phase=int(self._record[PHASE]),
                text=text(),
            )
        )
