"""An allocation: the DPUs of one `dpu_alloc` with their backend, timeline, loaded programs and prepared transfers.

Every command passes here once: it is carried out, priced and recorded. Sets (dpuset.py) are views on an allocation.
"""

from __future__ import annotations

import functools
import itertools
import threading
import weakref
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from .backends.threads import ThreadBackend
from .commands import Launch, LaunchResult, Load, Read, Restore, Write
from .engine.fault_report import report
from .engine.faults import Fault
from .engine.protocol import EngineOptions
from .errors import DpuFaultError, InvalidDpuSetError, NoProgramLoadedError, OutOfMemoryError
from .forks import renew_after_fork
from .hardware import Hardware
from .program import DpuBinary
from .timeline import Timeline
from .timing import Clock, LaunchWork, TransferWork
from .topology import Place

__all__ = ["Allocation", "Observer"]


class Observer(Protocol):
    """Is told of every command on an allocation. It must not change what the command does."""

    def loaded(self, dpus: range, binary: DpuBinary) -> None:
        """A program was loaded."""

    def transferred(self, command: Write | Read, what: str) -> None:
        """Bytes were moved; `what` names the symbol."""

    def launching(self, dpus: range, binary: DpuBinary) -> None:
        """A launch is about to run `binary` on `dpus`."""

    def launched(self, dpus: range, result: LaunchResult) -> None:
        """It has run to its end."""

    def restored(self, command: Restore) -> None:
        """A memory was made what a checkpoint says."""


Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def in_turn(
    method: Callable[Concatenate[Allocation, Parameters], Result],
) -> Callable[Concatenate[Allocation, Parameters], Result]:
    """A command: those of several threads take turns. Raises OutOfMemoryError where Python has no memory for it."""

    @functools.wraps(method)
    def locked(allocation: Allocation, /, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        with allocation.lock:
            try:
                return method(allocation, *args, **kwargs)
            except MemoryError as error:
                if isinstance(error, OutOfMemoryError):
                    raise
                raise OutOfMemoryError(
                    f"this computer has no memory for the {method.__name__} of {allocation.nr_dpus} DPUs ({error}). It "
                    "may have done a part of its work. Use fewer DPUs at once, or free other sets; this one goes on"
                ) from error

    return locked


class Allocation:
    """`nr_dpus` DPUs in whole ranks, numbered from 0 (upmem-sdk 6.3)."""

    def __init__(self, hardware: Hardware, nr_dpus: int, options: EngineOptions, clock: Clock) -> None:
        self.hardware, self.nr_dpus = hardware, nr_dpus
        self._backend: ThreadBackend | None = ThreadBackend(hardware, nr_dpus, options)  # or nothing else makes sense
        self.timeline = Timeline(hardware, clock)
        self.binaries: list[DpuBinary | None] = [None] * nr_dpus
        self.prepared: list[NDArray[np.uint8] | None] = [None] * nr_dpus  # dpu_prepare_xfer's table
        self.faults: dict[int, Fault] = {}  # of each DPU whose last launch failed
        self.when_released: weakref.finalize[Any, Any] | None = None
        self.observers: list[Observer] = []
        self._timing = options.timing
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """The child of a fork has DPUs of its own, and nobody else who could hold their lock."""
        self.lock = threading.RLock()

    def ranks_of(self, dpus: range) -> range:
        """Ranks that some DPUs lie in."""
        per_rank = self.hardware.geometry.dpus_per_rank
        return range(dpus.start // per_rank, (dpus.stop - 1) // per_rank + 1)

    def place_of(self, dpu: int) -> Place:
        """Rank, chip and number of a DPU."""
        geometry = self.hardware.geometry
        return Place.of(dpu, dpus_per_rank=geometry.dpus_per_rank, dpus_per_chip=geometry.dpus_per_chip)

    @in_turn
    def load(self, dpus: range, binary: DpuBinary) -> None:
        """Put a program into `dpus`. Its time is not modelled: no measurement of a load is published."""
        self.backend.submit(Load(dpus=dpus, binary=binary))
        self.binaries[dpus.start : dpus.stop] = [binary] * len(dpus)
        for observer in self.observers:
            observer.loaded(dpus, binary)
        self.timeline.append(
            "load",
            mode="serial",
            what=binary.name,
            first_dpu=dpus.start,
            nr_dpus=len(dpus),
            nbytes=0,
            transfers=0,
            work=None,
            ranks=self.ranks_of(dpus),
        )

    @in_turn
    def transfer(self, command: Write | Read, what: str) -> None:
        """Move bytes between host and DPUs. `what` names the symbol in the timeline; no row when no DPU takes part."""
        self.backend.submit(command)
        for observer in self.observers:
            observer.transferred(command, what)
        dpus = command.dpus_taking_part
        if not dpus:
            return
        ranks = sorted({dpu // self.hardware.geometry.dpus_per_rank for dpu in dpus})
        work = TransferWork(mode=command.mode, nr_dpus=len(dpus), nr_ranks=len(ranks), bytes_per_dpu=command.nbytes)
        self.timeline.append(
            "write" if isinstance(command, Write) else "read",
            mode=command.mode,
            what=what,
            first_dpu=dpus[0],
            nr_dpus=len(dpus),
            nbytes=len(dpus) * command.nbytes,
            transfers=len(dpus),
            work=work,
            ranks=ranks,
        )

    @in_turn
    def restore(self, command: Restore) -> None:
        """Make a memory what was captured. No row in the timeline: no time of it is published."""
        self.backend.submit(command)
        for observer in self.observers:
            observer.restored(command)

    @in_turn
    def launch(self, dpus: range) -> tuple[LaunchResult, ...]:
        """Run the loaded programs of `dpus` to their end: one result per run of DPUs with the same program.

        Raises NoProgramLoadedError before anything runs, DpuFaultError after everybody has run.
        """
        groups = self._groups(dpus)
        results = tuple(self._run(group, binary) for group, binary in groups)
        faults = [fault for result in results for fault in result.faults]
        self.replace_faults(dpus, {fault.dpu - dpus.start: fault for fault in faults})
        self.timeline.append(
            "launch",
            mode="synchronous",
            what=", ".join(dict.fromkeys(binary.name for _, binary in groups)),
            ranks=self.ranks_of(dpus),
            first_dpu=dpus.start,
            nr_dpus=len(dpus),
            nbytes=0,
            transfers=0,
            work=self._work(results, len(self.ranks_of(dpus))),
        )
        self._raise_faults(faults, len(dpus))
        return results

    @in_turn
    def replace_faults(self, dpus: range, faults: Mapping[int, Fault]) -> None:
        """Say how the last launch of some DPUs failed, by their position in `dpus`; the others of them did not fail."""
        others = {dpu: fault for dpu, fault in self.faults.items() if dpu not in dpus}
        self.faults = others | {
            dpus.start + index: replace(fault, dpu=dpus.start + index) for index, fault in faults.items()
        }

    @in_turn
    def release(self) -> None:
        """Give memory and ranks back. Nothing works afterwards."""
        backend, self._backend = self._backend, None
        try:
            if backend is not None:
                backend.close()
        finally:  # no rank is lost to a Ctrl-C in between
            if self.when_released is not None:
                self.when_released()

    def require_alive(self) -> None:
        """Raise InvalidDpuSetError after release."""
        if self._backend is None:
            raise InvalidDpuSetError("the set was freed; allocate a new one")

    @property
    def backend(self) -> ThreadBackend:
        """What carries the commands. Raises InvalidDpuSetError after release."""
        self.require_alive()
        assert self._backend is not None
        return self._backend

    def _work(self, results: tuple[LaunchResult, ...], nr_ranks: int) -> LaunchWork | None:
        """What is priced: nothing when nothing was counted."""
        if self._timing == "off":
            return None
        return LaunchWork(
            counters=tuple(result.counters for result in results),
            lines=tuple(result.lines for result in results),
            nr_ranks=nr_ranks,
        )

    def _run(self, dpus: range, binary: DpuBinary) -> LaunchResult:
        backend = self.backend
        for observer in self.observers:
            observer.launching(dpus, binary)
        result = backend.submit(Launch(dpus=dpus, binary=binary))
        for observer in self.observers:
            observer.launched(dpus, result)
        return result

    def _groups(self, dpus: range) -> list[tuple[range, DpuBinary]]:
        """Runs of neighbouring DPUs with the same program."""
        groups = []
        first = dpus.start
        for binary, run in itertools.groupby(self.binaries[dpus.start : dpus.stop]):
            count = len(list(run))
            if binary is None:
                raise NoProgramLoadedError(
                    f"DPU {first} would run whatever its instruction memory holds; call dpu_load first"
                )
            groups.append((range(first, first + count), binary))
            first += count
        return groups

    def _raise_faults(self, faults: list[Fault], nr_dpus: int) -> None:
        if faults:
            geometry = self.hardware.geometry
            text = report(faults, nr_dpus, dpus_per_rank=geometry.dpus_per_rank, dpus_per_chip=geometry.dpus_per_chip)
            raise DpuFaultError(text, faults)
