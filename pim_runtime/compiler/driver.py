"""Drivers: the generated function that runs one kernel on a range of DPUs, compiled once and cached on disk.

The driver is the only cached object. Its entry is named by a hash of everything that decides its machine code: the
driver text, the kernel's closure, the sources of the device library and of this package, and code_generator().
The kernel reaches it as a global name, never as an argument or closure, which numba cannot cache.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import sys
from collections.abc import Callable
from importlib.resources import files
from types import ModuleType
from typing import Any

from numba import types

from ..device.tasklet import Checks
from ..language.closure import Closure
from . import library, raw, views  # noqa: F401 - their import makes the device library known to numba
from .cache_entry import code_generator, compile_cached
from .diagnostics import kernel_errors
from .pipeline import kernel_jit
from .wrapping import wrapping_integers

__all__ = ["Driver", "driver_text", "load_driver"]

Driver = Callable[..., None]
"""`drive` of the template below, called with 12 integers; runs DPUs first to last - 1.

mram, wram, counters, phases, measured: host addresses of DPU 0's part. run: this thread's record.
Raises when a DPU faults; the run record says where.
"""

SIGNATURE = types.void(*[types.int64] * 12)
PACKAGE = __package__.rpartition(".")[0]

TEMPLATE = '''"""Driver of one kernel, written by {package}.compiler.driver; `kernel` is put in beside it."""

from numba import njit

from {package}.compiler.generators import generator_of, keep_generator
from {package}.device.faults import FaultCode, raise_fault
from {package}.device.guards import heed_interrupt
from {package}.device.raw import peek, poke
from {package}.device.run_record import METERS, NR_METERS, PHASE, TASKLET
from {package}.device.scheduler import FINISHED, block, boot, flush_counters, may_run, set_state
from {package}.device.tasklet import {tasklet} as Tasklet


@njit(nogil=True, no_cfunc_wrapper=True)
def drive(
    mram, wram, mram_stride, wram_stride, first, last, nr_tasklets, run, counters, counters_stride, phases, measured
):
    meters, meters_stride = peek(run + 8 * METERS), 8 * peek(run + 8 * NR_METERS)
    for dpu in range(first, last):
        m, w, rows = mram + dpu * mram_stride, wram + dpu * wram_stride, counters + dpu * counters_stride
        boot(run, w, dpu, rows, peek(measured + 8 * dpu) != 0)
        {create}
        alive = nr_tasklets
        while alive > 0:
            stuck = True
            heed_interrupt(run)
            for i in range(nr_tasklets):
                if may_run(run, w, i, nr_tasklets):
                    stuck = False
                    poke(run + 8 * TASKLET, i)
                    finished = True
                    {step}
                    if finished:
                        flush_counters(run, i, rows)
                        set_state(run, i, FINISHED)
                        alive -= 1
            if stuck:
                raise_fault(run, FaultCode.DEADLOCK, 0, 0, 0, 0)
        poke(phases + 8 * dpu, peek(run + 8 * PHASE))
'''

CREATE_GENERATORS = """for i in range(nr_tasklets):
            tasklets = keep_generator(i, kernel(Tasklet(i, nr_tasklets, m, w, run, meters + meters_stride * i)))"""

# One step of a generator. No `try` around it: compiled code would take any fault for the end of the generator.
STEP_GENERATOR = """for code in generator_of(tasklets, i):
                        finished = False
                        block(run, w, i, nr_tasklets, code, rows)
                        break"""
STEP_FUNCTION = "kernel(Tasklet(i, nr_tasklets, m, w, run, meters + meters_stride * i))"


def driver_text(closure: Closure, checks: Checks = "on") -> str:
    """Source of the driver of a kernel."""
    blocking = inspect.isgeneratorfunction(closure.kernel)
    return TEMPLATE.format(
        package=PACKAGE,
        tasklet="Tasklet" if checks == "on" else "UncheckedTasklet",
        create=CREATE_GENERATORS if blocking else "pass",
        step=STEP_GENERATOR if blocking else STEP_FUNCTION,
    )


@functools.cache
def toolchain_fingerprint() -> str:
    """Hash of what turns any kernel into machine code: our sources, numba, llvmlite, Python, the CPU."""
    package = files(PACKAGE)
    digest = hashlib.sha256(code_generator().encode())
    sources = [path for folder in ("compiler", "device") for path in package.joinpath(folder).iterdir()]
    for source in sorted((*sources, package.joinpath("counters.py")), key=lambda path: path.name):
        if source.name.endswith(".py"):
            digest.update(source.read_bytes())
    return digest.hexdigest()


@functools.lru_cache(maxsize=256)
def load_driver(closure: Closure, checks: Checks = "on") -> Driver:
    """The compiled driver of a kernel: from the disk cache, or compiled now and stored there.

    Raises KernelError when the kernel cannot be compiled.
    """
    text = driver_text(closure, checks)
    key = hashlib.sha256("\n".join((text, closure.fingerprint, toolchain_fingerprint())).encode()).hexdigest()[:24]
    name = f"pim_driver_{closure.kernel.__name__}_{key}"
    with kernel_errors(closure):
        drive = _module(name, text, kernel_jit(closure.kernel)).drive
        compile_cached(drive, SIGNATURE, name, wrapping_integers())
    return drive


def _module(name: str, text: str, kernel: Any) -> Any:
    """The driver's module with the kernel in it; known to `sys`, where numba looks when it reads a cache entry."""
    module: Any = ModuleType(name)
    module.kernel = kernel
    sys.modules[name] = module
    exec(compile(text, f"<{name}>", "exec"), vars(module))
    return module
