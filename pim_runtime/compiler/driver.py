"""Drivers: the generated function that runs one kernel on a range of DPUs, compiled once and cached on disk.

The driver is the only cached object. Its file is named by a hash of everything that decides its machine code: the
driver text, the kernel's closure, this package's device and compiler sources, and the versions of numba, llvmlite and
Python. The kernel reaches it as a global name, never as an argument or closure, which numba cannot cache.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import platform
import sys
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from types import ModuleType

import llvmlite
import numba
from numba import njit, types

from ..device.faults import KernelFault
from ..device.run_record import MAX_TASKLETS, TASKLET
from ..device.tasklet import Tasklet
from ..engine.scheduler import FINISHED
from ..language.closure import Closure
from . import library, raw, views  # noqa: F401 - their import makes the device library known to numba
from .cache import cache_folder, exclusive
from .diagnostics import kernel_errors
from .pipeline import kernel_jit

__all__ = ["Driver", "load_driver"]

Driver = Callable[..., None]
"""drive(mram, wram, mram_stride, wram_stride, first, last, nr_tasklets, run, counters, counters_stride, phases)

Runs DPUs first to last - 1. mram, wram, counters, phases: host addresses of DPU 0's part; run: this thread's record.
Raises when a DPU faults; the run record says where.
"""

SIGNATURE = types.void(*[types.int64] * 11)

TEMPLATE = '''"""Driver of one kernel: written by pim_runtime.compiler.driver."""


@njit(cache=True, nogil=True)
def drive(mram, wram, mram_stride, wram_stride, first, last, nr_tasklets, run, counters, counters_stride, phases):
    for dpu in range(first, last):
        m, w, rows = mram + dpu * mram_stride, wram + dpu * wram_stride, counters + dpu * counters_stride
        boot(run, w, dpu, rows)
        {create}
        alive = nr_tasklets
        while alive > 0:
            stuck = True
            for i in range(nr_tasklets):
                if may_run(run, w, i, nr_tasklets):
                    stuck = False
                    poke(run + 8 * {tasklet}, i)
                    finished = True
                    {step}
                    flush_counters(run, i, rows)
                    if finished:
                        set_state(run, i, {finished})
                        alive -= 1
            if stuck:
                raise_fault(run, {deadlock}, 0, 0, 0, 0)
        poke(phases + 8 * dpu, peek(run + 8 * {phase}))
'''

# One step of a generator. No `try` around it: compiled code would take any fault for the end (numba-notes 3).
STEP_GENERATOR = """for code in tasklets[i]:
                        finished = False
                        block(run, w, i, nr_tasklets, code, rows)
                        break"""
STEP_FUNCTION = "kernel(Tasklet(i, nr_tasklets, m, w, run))"


def driver_text(closure: Closure) -> str:
    """Source of the driver of a kernel."""
    from ..device.faults import FaultCode
    from ..device.run_record import PHASE

    blocking = inspect.isgeneratorfunction(closure.kernel)
    # np.int64(i), not i: a literal would give every generator a type of its own, and tuples need one type.
    created = ", ".join(f"kernel(Tasklet(int64({i}), nr_tasklets, m, w, run))" for i in range(MAX_TASKLETS))
    return TEMPLATE.format(
        create=f"tasklets = ({created})" if blocking else "pass",
        step=STEP_GENERATOR if blocking else STEP_FUNCTION,
        tasklet=TASKLET,
        finished=FINISHED,
        deadlock=int(FaultCode.DEADLOCK),
        phase=PHASE,
    )


@functools.cache
def toolchain_fingerprint() -> str:
    """Hash of what turns any kernel into machine code: our sources, numba, llvmlite, Python."""
    package = files(__package__.rpartition(".")[0])
    digest = hashlib.sha256(f"{numba.__version__} {llvmlite.__version__} {platform.python_version()}".encode())
    for folder in ("compiler", "device", "engine"):
        for source in sorted(package.joinpath(folder).iterdir(), key=lambda path: path.name):
            if source.name.endswith(".py"):
                digest.update(source.read_bytes())
    digest.update(package.joinpath("counters.py").read_bytes())
    return digest.hexdigest()


@functools.lru_cache(maxsize=256)
def load_driver(closure: Closure) -> Driver:
    """The compiled driver of a kernel: from the disk cache, or compiled now and stored there.

    Raises KernelError when the kernel cannot be compiled.
    """
    text = driver_text(closure)
    key = hashlib.sha256("\n".join((text, closure.fingerprint, toolchain_fingerprint())).encode()).hexdigest()[:24]
    module = ModuleType(f"pim_driver_{closure.kernel.__name__}_{key}")
    path = cache_folder() / f"{module.__name__}.py"
    module.__file__ = str(path)
    names = vars(module)
    names.update(_names_of_driver())
    names["kernel"] = kernel_jit(closure.kernel)
    with exclusive(path):
        _write_once(path, text)
        sys.modules[module.__name__] = module  # numba looks the driver's module up when it unpickles the cache entry
        exec(compile(text, str(path), "exec"), names)
        with kernel_errors(closure):
            names["drive"].compile(SIGNATURE)
    return names["drive"]


def _names_of_driver() -> dict[str, object]:
    from ..device.faults import raise_fault
    from ..device.raw import peek, poke
    from ..engine import scheduler

    return {
        "njit": njit,
        "int64": types.int64,
        "Tasklet": Tasklet,
        "KernelFault": KernelFault,
        "raise_fault": raise_fault,
        "peek": peek,
        "poke": poke,
        **{name: getattr(scheduler, name) for name in ("block", "boot", "flush_counters", "may_run", "set_state")},
    }


def _write_once(path: Path, text: str) -> None:
    """Keep an existing file: numba compares its time stamp with the cache entry's."""
    if not path.exists():
        temporary = path.with_suffix(".tmp")
        temporary.write_text(text)
        temporary.replace(path)
