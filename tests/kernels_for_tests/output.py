"""Kernels that print and that read the performance counter."""

from __future__ import annotations

from pim_runtime import DpuProgram
from pim_runtime.device import (
    COUNT_CYCLES,
    COUNT_INSTRUCTIONS,
    barrier_wait,
    charge,
    int64,
    me,
    mem_alloc,
    mram_read,
    mram_write,
    nr_tasklets,
    perfcounter_config,
    perfcounter_get,
    printf,
)

__all__ = ["NR_SAMPLES", "measure", "printing"]

printing = DpuProgram("printing", nr_tasklets=16)
value = printing.host("value", int64)
is_quiet = printing.host("is_quiet", int64)


@printing.kernel
def printing_kernel(t):
    """Tasklet 0 shows every kind of conversion, all others say their number; nobody says anything when quiet."""
    if is_quiet.load(t) != 0:
        return
    number = value.load(t)
    if me(t) == 0:
        printf(t, "%d|%u|%x|%ld|%lu|%lx\n", number, number, number, number, number, number)
        printf(t, "%5d|%-5d|%08lx|%c|100%%\n", 42, -7, number, 65 + (number & 15))
        printf(t, "no argument\n")
    else:
        printf(t, "tasklet %d of %d\n", me(t), nr_tasklets(t))


NR_SAMPLES = 8

measure = DpuProgram("measure", nr_tasklets=16)
what = measure.host("what", int64)
samples = measure.host("samples", int64, (24, NR_SAMPLES))
previous = measure.host("previous", int64)
data = measure.mram_noinit("data", int64, 24 * 8)
started = measure.barrier("started")


@measure.kernel
def measure_kernel(t):
    """Samples of the counter between pieces of work, and what the next configuration says that it had counted."""
    if me(t) == 0:
        perfcounter_config(t, COUNT_CYCLES if what.load(t) == COUNT_CYCLES else COUNT_INSTRUCTIONS, True)
    yield barrier_wait(t, started)
    mine, block = samples.array(t).window(NR_SAMPLES * me(t), NR_SAMPLES), mem_alloc(t, int64, 8)
    for i in range(NR_SAMPLES):
        mine[i] = perfcounter_get(t)
        charge(t, 7)
        if i == 3:
            yield barrier_wait(t, started)
            mram_read(t, data.address + 64 * me(t), block, 64)
        if i == 5:
            mram_write(t, block, data.address + 64 * me(t), 64)
    yield barrier_wait(t, started)
    if me(t) == 0:
        previous.store(t, perfcounter_config(t, COUNT_CYCLES, False))
