"""Sets, programs and launches under random use, against the model: the first half of the state machine."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    consumes,
    initialize,
    multiple,
    precondition,
    rule,
)

from pim_runtime import DpuFaultError, DpuSet
from pim_runtime.api import (
    DpuLaunchPolicy,
    dpu_alloc,
    dpu_alloc_ranks,
    dpu_free,
    dpu_get_nr_dpus,
    dpu_get_nr_ranks,
    dpu_launch,
    dpu_load,
    dpu_log_read,
    dpu_sync,
)
from pim_runtime.dpuset import ALLOCATE_ALL
from pim_runtime.errors import (
    AllocationError,
    ArgumentError,
    InvalidDpuSetError,
    InvalidLaunchPolicyError,
    InvalidProfileError,
    LinkError,
    NoProgramLoadedError,
)

from .host_model import Allocation, Dpu, Part, Place
from .host_programs import DEADLOCK, HALT, WRONG_INDEX
from .host_world import DPUS_PER_RANK, PROGRAMS, Handle, World

__all__ = ["HostSets"]

USUAL_PROGRAMS = st.sampled_from(("talking", "talking", "silent"))


class HostSets(World):
    """Allocations and frees, loads, launches and logs, in any order."""

    handles = Bundle("handles")
    tops = Bundle("tops")

    def allocated(self, nr_dpus: int, errors: set[type[Exception]], call: Callable[[], DpuSet]) -> Any:
        dpus = self.expect(errors, call)
        if errors:
            return multiple()
        part = Part(Allocation([Dpu() for _ in range(nr_dpus)], DPUS_PER_RANK), range(nr_dpus), "set")
        assert dpu_get_nr_dpus(dpus) == len(dpus) == nr_dpus
        assert dpu_get_nr_ranks(dpus) == part.nr_ranks
        handle = Handle(f"set_{len(self.allocations)}", dpus, part)
        self.allocations.append(handle)
        return handle

    @initialize(target=handles, program=USUAL_PROGRAMS)
    def begin(self, program: str) -> Any:
        """Sets that work, so that few steps are lost on a machine without."""
        top = self.alloc_and_load(program, 6, "")
        return multiple(top, self.child(top, 0, "rank"), self.child(top, 1, "rank"), self.child(top, 2, "dpu"))

    @rule(target=tops, nr_dpus=st.sampled_from((1, 2, 3, 4, 5, 8, 12, 13, 0, -1, None, ALLOCATE_ALL, "4", 2.5)))
    def alloc(self, nr_dpus: Any) -> Any:
        options = {"machine": self.machine, "options": self.options}
        if isinstance(nr_dpus, str | float):
            return self.allocated(0, {ArgumentError}, lambda: dpu_alloc(nr_dpus, **options))
        all_free = nr_dpus in (None, ALLOCATE_ALL)
        wanted = self.free_ranks * DPUS_PER_RANK if all_free else nr_dpus
        enough = 0 < wanted <= self.free_ranks * DPUS_PER_RANK
        call = (lambda: DpuSet(**options)) if nr_dpus is None else (lambda: dpu_alloc(nr_dpus, **options))
        return self.allocated(wanted, set() if enough else {AllocationError}, call)

    @rule(target=tops, nr_ranks=st.sampled_from((1, 1, 2, 3, 4, 0, -1)))
    def alloc_ranks(self, nr_ranks: int) -> Any:
        errors = set() if 0 < nr_ranks <= self.free_ranks else {AllocationError}
        call = lambda: dpu_alloc_ranks(nr_ranks, machine=self.machine, options=self.options)  # noqa: E731
        return self.allocated(nr_ranks * DPUS_PER_RANK, errors, call)

    @rule(
        target=tops, program=USUAL_PROGRAMS, nr_dpus=st.sampled_from((1, 2, 4, 6)),
        wrong=st.sampled_from(("", "", "", "both", "profile", "log")),
    )  # fmt: skip
    def alloc_and_load(self, program: str, nr_dpus: int, wrong: str) -> Any:
        options: dict[str, Any] = {"machine": self.machine, "options": self.options, "binary": PROGRAMS[program]}
        errors: set[type[Exception]] = set() if nr_dpus <= self.free_ranks * DPUS_PER_RANK else {AllocationError}
        if wrong == "both":
            options["nr_ranks"], errors = 1, {ArgumentError}
        elif wrong == "profile":
            options["profile"], errors = "backend", {InvalidProfileError}
        elif wrong == "log":
            options["log"], errors = [None] * 3, errors or {ArgumentError}
        handle = self.allocated(nr_dpus, errors, lambda: DpuSet(nr_dpus, **options))
        if isinstance(handle, Handle):
            handle.part.load(self.known(program, None))
            self.same_timeline(handle)
        return handle

    @rule(target=handles, top=tops)
    def use(self, top: Handle) -> Handle:
        return top

    @rule(target=handles, top=tops, index=st.integers(0, 11), kind=st.sampled_from(("rank", "dpu")))
    def child(self, top: Handle, index: int, kind: str) -> Handle:
        children = top.dpus.ranks() if kind == "rank" else list(top.dpus)
        index %= len(children)
        dpus, part = children[index], top.part
        if kind == "dpu":
            inner = part.dpus[index : index + 1]
        else:
            inner = part.dpus[index * DPUS_PER_RANK : (index + 1) * DPUS_PER_RANK]
        assert len(dpus) == len(inner)
        return Handle(f"{top}.{kind}s()[{index}]", dpus, Part(part.allocation, inner, kind))

    @precondition(lambda self: not self.free_ranks)
    @rule(handle=handles, way=st.sampled_from(("C", "Python")))
    def free(self, handle: Handle, way: str) -> None:
        allocation = handle.part.allocation
        errors = {InvalidDpuSetError} if handle.part.kind != "set" or not allocation.alive else set()
        self.expect(errors, (lambda: dpu_free(handle.dpus)) if way == "C" else handle.dpus.free)
        allocation.alive = allocation.alive and bool(errors)

    @precondition(lambda self: not self.free_ranks)
    @rule(top=consumes(tops))
    def free_for_good(self, top: Handle) -> None:
        HostSets.free(self, top, "C")

    @rule(handle=handles)
    def sync(self, handle: Handle) -> None:
        errors = set() if handle.part.allocation.alive else {InvalidDpuSetError}
        self.expect(errors, lambda: dpu_sync(handle.dpus))

    @rule(handle=handles, program=USUAL_PROGRAMS, nr_tasklets=st.sampled_from((None, None, None, None, 1, 3, 0, 25)))
    def load(self, handle: Handle, program: str, nr_tasklets: int | None) -> None:
        errors: set[type[Exception]] = set() if handle.part.allocation.alive else {InvalidDpuSetError}
        if nr_tasklets in (0, 25):
            errors.add(LinkError)
        self.expect(errors, lambda: dpu_load(handle.dpus, PROGRAMS[program], nr_tasklets=nr_tasklets))
        if not errors:
            handle.part.load(self.known(program, nr_tasklets))
        self.same_timeline(handle)

    @rule(handle=handles, binary=st.sampled_from((None, 5, "talking", b"ELF")))
    def load_what_is_no_program(self, handle: Handle, binary: Any) -> None:
        self.expect({ArgumentError}, lambda: handle.dpus.load(binary))
        self.same_timeline(handle)

    @rule(handle=handles, mode=st.sampled_from((0, HALT, WRONG_INDEX, DEADLOCK)), every=st.integers(1, 3))
    def steer(self, handle: Handle, mode: int, every: int) -> None:
        """Make every n-th DPU fault at its next launch."""
        rows = np.array([[mode if dpu % every == 0 else 0] for dpu in range(len(handle.part))], np.int32)
        place = handle.part.resolve("mode", 0, 4)
        errors = set() if isinstance(place, Place) else place
        self.expect(errors, lambda: handle.dpus.copy("mode", rows))
        if isinstance(place, Place):
            for cells, row in zip(handle.part.cells(place), rows, strict=True):
                cells[:] = row.view(np.uint8)
            handle.part.transferred("write", "push", place, [True] * len(rows))
        self.same_timeline(handle)

    @rule(
        handle=handles,
        policy=st.sampled_from((None, None, *DpuLaunchPolicy, 7)),
        log=st.sampled_from((None, "stream", "list", "short", 7)),
    )
    def launch(self, handle: Handle, policy: Any, log: Any) -> None:
        """`dpu_launch` with a policy, or `exec`, which may print logs."""
        part, stream = handle.part, io.StringIO()
        errors: set[type[Exception]] = set() if part.allocation.alive else {InvalidDpuSetError}
        if any(dpu.program is None for dpu in part):
            errors.add(NoProgramLoadedError)
        if policy is not None:
            if policy != DpuLaunchPolicy.DPU_SYNCHRONOUS:
                errors.add(InvalidLaunchPolicyError)
            log, call = None, lambda: dpu_launch(handle.dpus, policy)
        else:
            if log in ("short", 7):
                errors.add(ArgumentError)
            targets = {"stream": stream, "list": [stream] * len(part), "short": [stream] * (len(part) + 1)}
            call = lambda: handle.dpus.exec(log=targets.get(log, log))  # noqa: E731
        if errors:
            self.expect(errors, call)
            return self.same_timeline(handle)
        faults = part.launch()
        if faults:
            error = self.expect({DpuFaultError}, call)
            assert {fault.dpu: fault.code for fault in error.faults} == faults
            assert not stream.getvalue()
        else:
            text, error = part.log() if log else ("", None)
            self.expect({error} if error else set(), call)
            assert stream.getvalue() == text
        return self.same_timeline(handle)

    @rule(handle=handles, way=st.sampled_from(("C", "Python")))
    def read_log(self, handle: Handle, way: str) -> None:
        stream, part = io.StringIO(), handle.part
        if way == "C" and part.kind != "dpu":
            self.expect({InvalidDpuSetError}, lambda: dpu_log_read(handle.dpus, stream))
            return self.same_timeline(handle)
        if not part.allocation.alive:
            _, error = (
                part.log() if any(dpu.program is None or dpu.program.name == "silent" for dpu in part) else ("", None)
            )
            self.expect({InvalidDpuSetError} | ({error} if error else set()), lambda: handle.dpus.log(stream))
            part.allocation.rows = part.allocation.rows[: len(handle.dpus.timeline.rows)]
            return None
        text, error = part.log()
        call = (lambda: dpu_log_read(handle.dpus, stream)) if way == "C" else (lambda: handle.dpus.log(stream))
        self.expect({error} if error else set(), call)
        assert stream.getvalue() == text
        return self.same_timeline(handle)
