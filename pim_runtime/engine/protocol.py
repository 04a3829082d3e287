"""What an engine is: something that runs a program on a range of DPUs in given memory."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from ..device.guards import UNLIMITED_ITERATIONS
from ..device.tasklet import Checks
from ..language.closure import Closure
from .breakpoints import Breakpoint
from .faults import Fault
from .turns import TaskletOrder

__all__ = ["Addresses", "Engine", "EngineOptions"]

SAMPLE = re.compile("sample:[1-9][0-9]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """How kernels run.

    engine: "compiled" by numba, or "interpreted" by CPython, where breakpoint() and print() work.
        Default: "compiled".
    tasklet_order: "cyclic", or an order from `seed` that exposes kernels that depend on it: "random" lets tasklets take
        a step each, in another order every time, "priority" lets a tasklet run for as long as it can while others
        starve, in random precedence. Both need the interpreted engine. Default: "cyclic".
    seed: of the tasklet order, which is the same on every DPU and in every launch. Default: 0.
    threads: host threads that run DPUs, None for one per CPU; the interpreted engine uses one. Default: None.
    timing: how instructions are counted; results do not depend on it. "off" counts nothing, and launches take no
        simulated time. Otherwise every DPU counts what it runs, and what depends on the data (the slots of 16- and
        32-bit multiplies and of divisions) is counted on every DPU ("exact"), on N of them spread over the launch
        ("sample:N"; the others are taken to need as much per operation), or taken from the profile ("static").
        Default: "sample:8".
    max_iterations: loop iterations that one tasklet may run in a launch, None for any number; one that runs more is
        stopped in fault. A wait counts as 64 of them, a short loop over a fixed range does not count. Ctrl-C stops a
        launch in any case, though in the compiled engine not before the end of an innermost loop over a range that only
        computes. Default: 2**30.
    breakpoints: where kernels stop in the debugger; needs the interpreted engine. Default: nowhere.
    checks: "off" compiles kernels without the rules of the machine and without max_iterations, to measure what they
        cost. Dangerous: a kernel that breaks a rule may crash this process, or change any of its memory, and an endless
        loop cannot be stopped. Needs the compiled engine. Default: "on".
    """

    engine: Literal["compiled", "interpreted"] = "compiled"
    tasklet_order: TaskletOrder = "cyclic"
    seed: int = 0
    threads: int | None = None
    timing: str = "sample:8"
    max_iterations: int | None = 1 << 30
    breakpoints: tuple[Breakpoint, ...] = ()
    checks: Checks = "on"

    def __post_init__(self) -> None:
        if self.engine not in ("compiled", "interpreted"):
            raise ValueError(f"engine {self.engine!r}: choose 'compiled' or 'interpreted'")
        if self.tasklet_order not in get_args(TaskletOrder):
            raise ValueError(f"tasklet_order {self.tasklet_order!r}: choose 'cyclic', 'random' or 'priority'")
        if self.tasklet_order != "cyclic" and self.engine == "compiled":
            raise ValueError(
                f"tasklet_order {self.tasklet_order!r} needs engine='interpreted': compiled tasklets run in turn"
            )
        if not isinstance(self.breakpoints, tuple) or not all(isinstance(one, Breakpoint) for one in self.breakpoints):
            raise ValueError(f"breakpoints is {self.breakpoints!r}: give a tuple of Breakpoint(line=...)")
        if self.breakpoints and self.engine == "compiled":
            raise ValueError("breakpoints need engine='interpreted': compiled kernels cannot be stopped")
        if self.timing not in ("off", "static", "exact") and not SAMPLE.fullmatch(self.timing):
            raise ValueError(f"timing {self.timing!r}: choose 'exact', 'sample:N' with N at least 1, 'static' or 'off'")
        if self.threads is not None and self.threads < 1:
            raise ValueError(f"threads is {self.threads}: at least 1, or None for one per CPU")
        if self.checks not in ("on", "off"):
            raise ValueError(f"checks {self.checks!r}: choose 'on' or 'off'")
        if self.checks == "off" and self.engine == "interpreted":
            raise ValueError("checks 'off' needs engine='compiled': the interpreted engine always checks")
        if self.max_iterations is not None and not 1 <= self.max_iterations <= UNLIMITED_ITERATIONS:
            raise ValueError(f"max_iterations is {self.max_iterations}: 1 to 2**62, or None for any number")


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Host addresses of DPU 0's part of each memory of a shard, and the distance to the next DPU's in bytes."""

    mram: int
    mram_stride: int
    wram: int
    wram_stride: int
    counters: int
    counters_stride: int
    phases: int
    measured: int

    def wram_of(self, dpu: int) -> int:
        """Host address of a DPU's WRAM."""
        return self.wram + dpu * self.wram_stride


class Engine(Protocol):
    """Runs programs. Both engines leave the same bytes and the same counters."""

    def prepare(self, closure: Closure) -> None:
        """Do at load what the first launch would otherwise wait for. Raises KernelError for a broken kernel."""

    def run(
        self, closure: Closure, nr_tasklets: int, dpus: range, addresses: Addresses, record: NDArray[np.int64]
    ) -> list[Fault]:
        """Run a kernel on `dpus` in this thread; `record` is the thread's run record. A DPU in fault is skipped."""
