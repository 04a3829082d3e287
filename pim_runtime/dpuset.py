"""DpuSet: the SDK's Python class over an allocation of emulated DPUs (upmem-sdk 1).

A set is a whole allocation, one of its ranks, or one of its DPUs; all share the allocation. Transfers are those of
dpu_range.py; api.py gives the same operations under their C names.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from typing import Literal, TextIO

from .check import Check, Checker, Findings, StackUse, attach_checker
from .checkpoint.context import DpuContext
from .checkpoint.snapshot import chosen_parts, restore_state, take_state
from .commands import LaunchResult
from .dpu_range import DpuRange
from .engine.protocol import EngineOptions
from .errors import ArgumentError, InvalidDpuSetError, TooManyTaskletsError
from .log_reader import read_log
from .log_streams import LogStreams, LogTarget
from .machine import Machine, default_machine
from .profile_string import check_profile_string
from .program import DpuBinary, DpuProgram
from .timeline import Timeline
from .transfers import UINT_MAX, integer

__all__ = ["ALLOCATE_ALL", "DpuSet"]

ALLOCATE_ALL = UINT_MAX  # every free rank


class DpuSet(DpuRange):
    """DPUs to load, fill, launch and read.

    nr_dpus, nr_ranks: how many; give one of them, or none for every free rank of the machine.
    profile: an SDK profile string; checked, and otherwise without effect on the emulator.
    binary: the program to load at once.
    log: stream for the DPUs' printf output after each `exec`, or a list with one stream (or None) per DPU.
    machine: where to allocate; default: the machine of this process.
    options: how kernels run.
    check: look for races and other silent mistakes in every launch, on the side: results and simulated time do not
        change. What is found is warned of, and kept in `findings`. Default: as `pim check` says, else no check.

    Raises AllocationError when there are not enough DPUs, and what `load` raises.
    """

    _kind: Literal["set", "rank", "dpu"]
    _streams: LogStreams
    _checker: Checker | None
    _children: dict[tuple[str, range], DpuSet]

    def __init__(
        self,
        nr_dpus: int | None = None,
        nr_ranks: int | None = None,
        profile: str = "",
        binary: DpuProgram | DpuBinary | None = None,
        *,
        log: LogTarget = None,
        machine: Machine | None = None,
        options: EngineOptions | None = None,
        check: Check | None = None,
    ) -> None:
        if nr_dpus is not None and nr_ranks is not None:
            raise ArgumentError("cannot specify nr_dpus and nr_ranks")
        if check is not None and not isinstance(check, Check):
            raise ArgumentError(f"check is {check!r}: give the options of the checker, check=Check()")
        check_profile_string(os.environ.get("UPMEM_PROFILE_BASE", ""), profile, os.environ.get("UPMEM_PROFILE", ""))
        machine, options = machine or default_machine(), options or EngineOptions()
        if nr_ranks is not None:
            allocation = machine.allocate_ranks(integer("nr_ranks", nr_ranks), options)
        else:
            wanted = None if nr_dpus in (None, ALLOCATE_ALL) else integer("nr_dpus", nr_dpus)
            allocation = machine.allocate_dpus(wanted, options)
        self.__dict__.update(_allocation=allocation, _range=range(allocation.nr_dpus), _kind="set", _children={})
        checker = attach_checker(allocation.hardware, allocation.nr_dpus, check, allocation.backend.submit)
        if checker is not None:
            allocation.observers.append(checker)
        try:
            self.__dict__.update(_streams=LogStreams(log, len(self)), _checker=checker)
            if binary is not None:
                self.load(binary)
        except BaseException:
            allocation.release()
            raise

    def _child(self, dpus: range, kind: Literal["rank", "dpu"]) -> DpuSet:
        """The one set for a rank or DPU of the allocation: it serves as a dictionary key."""
        if (kind, dpus) not in self._children:
            child = object.__new__(DpuSet)
            child.__dict__.update(self.__dict__, _range=dpus, _kind=kind)
            self._children.setdefault((kind, dpus), child)
        return self._children[kind, dpus]

    # structure

    def __iter__(self) -> Iterator[DpuSet]:
        return iter(self.dpus())

    def __enter__(self) -> DpuSet:
        return self

    def __exit__(self, *exception: object) -> None:
        self.free()

    def __repr__(self) -> str:
        return f"<DpuSet {self._kind}: DPUs {self._range.start}-{self._range.stop - 1}>"

    def dpus(self) -> list[DpuSet]:
        """One set per DPU, in the SDK's order: by rank, chip, DPU."""
        return [self] if self._kind == "dpu" else [self._child(range(dpu, dpu + 1), "dpu") for dpu in self._range]

    def ranks(self) -> list[DpuSet]:
        """One set per rank; a DPU's own rank for a single DPU."""
        if self._kind == "rank":
            return [self]
        allocation, per_rank = self._allocation, self._allocation.hardware.geometry.dpus_per_rank
        return [
            self._child(range(rank * per_rank, min((rank + 1) * per_rank, allocation.nr_dpus)), "rank")
            for rank in allocation.ranks_of(self._range)
        ]

    @property
    def timeline(self) -> Timeline:
        """Every command of the allocation with its modelled time."""
        return self._allocation.timeline

    @property
    def findings(self) -> Findings:
        """What the checker has found so far in the whole allocation; nothing for a set that is not checked."""
        return Findings() if self._checker is None else self._checker.findings

    @property
    def stacks(self) -> tuple[StackUse, ...]:
        """The deepest stacks of each program that the checker has run; nothing for a set that is not checked."""
        return () if self._checker is None else self._checker.stacks

    @property
    def is_single_dpu(self) -> bool:
        """True for the set of one DPU that iteration gives, also where a whole set has one DPU only: False."""
        return self._kind == "dpu"

    def free(self) -> None:
        """Give the DPUs back. Raises InvalidDpuSetError for a rank, a DPU, or a second free."""
        if self._kind != "set":
            raise InvalidDpuSetError(f"only the set that was allocated can be freed, not a {self._kind}")
        with self._allocation.lock:
            self._allocation.require_alive()
            self._allocation.release()

    # programs

    def load(self, binary: DpuProgram | DpuBinary, *, nr_tasklets: int | None = None) -> DpuBinary:
        """Link, compile and load a program on all DPUs of the set; MRAM outside `.mram` keeps its contents.

        nr_tasklets: build with another number of tasklets than the program declares (C: -DNR_TASKLETS).
        Raises LinkError, KernelError, TooManyTaskletsError.
        """
        if isinstance(binary, DpuProgram):
            binary = binary.build(self._allocation.hardware, nr_tasklets=nr_tasklets)
        elif not isinstance(binary, DpuBinary):
            raise ArgumentError(f"a program is a DpuProgram or DpuBinary, not {type(binary).__name__}: {binary!r}")
        elif nr_tasklets is not None:
            raise ArgumentError("a DpuBinary has its number of tasklets already; load the DpuProgram instead")
        threads = self._allocation.hardware.dpu.max_tasklets
        if binary.nr_tasklets > threads:
            raise TooManyTaskletsError(
                f"program {binary.name!r} has {binary.nr_tasklets} tasklets, the DPU {threads} threads"
            )
        hidden = sorted(name for name in binary.symbols if hasattr(DpuSet, name))
        if hidden:
            warnings.warn(f"symbols {', '.join(hidden)} are hidden by DpuSet's methods; use copy()", stacklevel=2)
        self._allocation.load(self._range, binary)
        return binary

    def exec(self, log: LogTarget | Mapping[DpuSet, TextIO] = None) -> tuple[LaunchResult, ...]:
        """Run the loaded program on all DPUs and wait; then print logs where a stream is given.

        log: a stream for all, a list with one per DPU, or a mapping from DPU sets to streams; None keeps what the set
        was made with.
        Returns the counters of the launch. Raises NoProgramLoadedError, or DpuFaultError after all DPUs have stopped.
        """
        if isinstance(log, Mapping):
            log = [log.get(dpu) for dpu in self.dpus()]
        streams = self._streams.during(log, self._range)
        with self._allocation.lock:
            results = self._allocation.launch(self._range)
            for dpu, stream in streams.items():
                self._print_log(dpu, stream)
        return results

    def log(self, stream: TextIO | None = None) -> None:
        """Print what each DPU printed in its last launch, under a header line with the DPU's id.

        Goes to `stream`, else to the stream given when the set was made, else to standard output.
        Raises LogContextMissingError for a program without printf, LogBufferTooSmallError when the ring was overrun.
        """
        for dpu in self._range:
            self._print_log(dpu, stream or self._streams.of(dpu) or sys.stdout)

    def sync(self) -> None:
        """Wait for queued jobs. Operations are synchronous, so none is; raises InvalidDpuSetError after `free`."""
        self._allocation.require_alive()

    def _print_log(self, dpu: int, stream: TextIO) -> None:
        stream.write(f"=== DPU#{self._allocation.place_of(dpu).sdk_id:#x} ===\n")
        stream.write(read_log(self._allocation, dpu))

    # saved states

    def checkpoint(self, iram: bool = True, mram: bool = True, wram: bool = True) -> DpuContext:
        """A copy of the state of the DPUs: memories, which program is loaded, faults and, of a whole set, the timeline.

        Unlike the SDK's, it is not bound to a single DPU. Raises CheckpointError where memory does not suffice.
        """
        with self._allocation.lock:
            return DpuContext(take_state(self._allocation, self._range, self._kind, chosen_parts(iram, mram, wram)))

    def restore(self, context: DpuContext, iram: bool = True, mram: bool = True, wram: bool = True) -> None:
        """Make the DPUs what they were; a whole set goes on at the simulated time of the checkpoint.

        iram: the program, which must be loaded already, is the one of the checkpoint; False does not ask.
        Raises CheckpointError where the context does not fit these DPUs, which then stay as they are.
        """
        if not isinstance(context, DpuContext):
            raise ArgumentError(f"a context is a DpuContext, not {type(context).__name__}: {context!r}")
        with self._allocation.lock:
            restore_state(self._allocation, self._range, self._kind, context.state, chosen_parts(iram, mram, wram))
