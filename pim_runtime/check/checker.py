"""Watches an allocation: follows what is written to some of its DPUs, and checks their launches on the side."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ..commands import Command, LaunchResult, Memory, Read, Restore, Write
from ..device.faults import FaultCode
from ..engine.faults import Fault
from ..hardware import Hardware
from ..program import DpuBinary
from .finding import Findings
from .launch_check import LaunchCheck
from .names import AddressNames
from .options import Check
from .places import host_place
from .side_run import Launched
from .stack import StackUse
from .transfers import check_read, check_write
from .watched_dpu import WatchedDpu

__all__ = ["Checker"]

LOG = "log"  # what the allocation calls a read of the log, which printf wrote: not followed


class Checker:
    """An observer of an allocation (allocation.Observer).

    submit: carries commands to the DPUs. findings: all so far. nr_launches: of single DPUs, so far; nr_checked: those
    that were checked to their end; nr_too_long: those whose check was given up at Check.max_iterations.
    """

    def __init__(self, hardware: Hardware, nr_dpus: int, options: Check, submit: Callable[[Command], object]) -> None:
        self.options, self.findings = options, Findings()
        self.nr_launches = self.nr_checked = self.nr_too_long = 0
        self._hardware, self._submit = hardware, submit
        self._faults: dict[int, Fault | None] = {}  # of the last runs on the side
        self._watched: dict[int, WatchedDpu] = {}
        self._untouched = np.ones(nr_dpus, np.bool_)
        self._stacks: dict[str, StackUse] = {}
        self._symbols: set[str] = set()

    def unknown(self, names: Sequence[str]) -> tuple[str, ...]:
        """Those names that no loaded program has."""
        return tuple(name for name in names if name not in self._symbols)

    @property
    def stacks(self) -> tuple[StackUse, ...]:
        """The stacks of every program that was checked."""
        return tuple(self._stacks.values())

    def loaded(self, dpus: range, binary: DpuBinary) -> None:
        """A program was loaded. DPUs can be followed from their first load on: nobody can have written before."""
        if not any(dpu in self._watched for dpu in dpus) and self._untouched[dpus.start : dpus.stop].all():
            count = min(self.options.dpus, len(dpus))
            for dpu in (dpus[index * len(dpus) // count] for index in range(count)):
                self._watched[dpu] = WatchedDpu(dpu, self._hardware)
        self._untouched[dpus.start : dpus.stop] = False
        names = AddressNames(binary, self._hardware.dpu.wram_bytes)
        self._symbols |= names.symbols
        for dpu in self._watched_of(dpus):
            self._watched[dpu].load(binary, names)

    def transferred(self, command: Write | Read, what: str) -> None:
        """Bytes were moved; `what` is the symbol."""
        place, distance = host_place()
        taking_part = set(command.dpus_taking_part)
        watched = [self._watched[dpu] for dpu in self._watched_of(command.dpus) if dpu in taking_part]
        if isinstance(command, Write):
            found = list(check_write(watched, command, place))
        else:
            found = [] if what == LOG else list(check_read(watched, command, what, self.options.unordered, place))
        for each in watched:
            if isinstance(command, Write):
                each.written(command, place)
            else:
                each.read(command)
        for finding in found:
            self.findings.add(finding)
        self.findings.announce(distance)

    def restored(self, command: Restore) -> None:
        """A checkpoint was restored: all its bytes have been written."""
        self._untouched[command.dpus.start : command.dpus.stop] = False
        for dpu in self._watched_of(command.dpus):
            self._watched[dpu].restore(command.memory, command.blocks.of_dpu(dpu - command.dpus.start))

    def launching(self, dpus: range, binary: DpuBinary) -> None:
        """A launch is about to run. Its results do not change: what is checked runs on copies."""
        self.nr_launches += len(dpus)
        for dpu in self._watched_of(dpus):
            watched = self._watched[dpu]
            watched.begin_launch()
            check = LaunchCheck(
                hardware=self._hardware,
                options=self.options,
                launched=Launched(binary, dpu, watched.names),
                shadow=watched.shadow,
                alternatives=watched.alternatives,
                read=functools.partial(self._read, dpu),
                report=self.findings.add,
            )
            run = check.run()
            watched.shadow = run.shadow
            self._note_stacks(binary, run.stack)
            self._faults[dpu] = run.fault
        self.findings.announce(host_place()[1])

    def launched(self, dpus: range, result: LaunchResult) -> None:
        """A launch has run; what only the run on the side ended in fault, since it was too long, is not checked."""
        faulty = {fault.dpu for fault in result.faults}
        for dpu in self._watched_of(dpus):
            fault = self._faults[dpu]
            checked = fault is None or dpu in faulty
            if not checked:
                self._watched[dpu].lose_track()
            self.nr_checked += checked
            self.nr_too_long += not checked and fault is not None and fault.code is FaultCode.RUNAWAY

    def _watched_of(self, dpus: range) -> list[int]:
        return [dpu for dpu in self._watched if dpu in dpus]

    def _read(self, dpu: int, memory: Memory, address: int, target: NDArray[np.uint8]) -> None:
        command = Read(
            dpus=range(dpu, dpu + 1),
            memory=memory,
            address=address,
            nbytes=len(target),
            rows=target[None, :],
            mode="pull",
        )
        self._submit(command)

    def _note_stacks(self, binary: DpuBinary, use: StackUse) -> None:
        known = self._stacks.get(binary.name)
        self._stacks[binary.name] = use if known is None else known.joined(use)
