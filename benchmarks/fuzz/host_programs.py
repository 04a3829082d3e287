"""Two programs for random use of the host API: one that prints, and faults when it is told to, and one that does not.

Both leave the first MiB of MRAM alone, where the log of a printing program lies; behind it their variables overlap.
"""

from __future__ import annotations

from pim_runtime import DpuProgram
from pim_runtime.device import (
    halt,
    handshake_wait_for,
    int16,
    int32,
    int64,
    me,
    mem_alloc,
    mem_reset,
    mram_read,
    mram_write,
    printf,
    uint8,
)

__all__ = ["DEADLOCK", "HALT", "WRONG_INDEX", "silent", "talking"]

HALT, WRONG_INDEX, DEADLOCK = 1, 2, 3  # what `mode` asks for
LOG_BYTES = 1 << 20

talking = DpuProgram("talking", nr_tasklets=2, stack_bytes=256)
number = talking.host("number", int32, initial=7)
mode = talking.host("mode", int32)
pair = talking.host("pair", int64, 2, initial=(10, -20))
odd = talking.host("odd", uint8, 3, initial=(1, 2, 3))
rows = talking.mram_noinit("rows", int64, 16)
start = talking.mram("start", int32, 4, initial=(1, 2, 3, 4))


@talking.kernel
def talk(t):
    """Tasklet 0 adds 1 to `number` and prints it; tasklet 1 faults as `mode` says, or mixes `number` into `rows`."""
    if me(t) == 0:
        number.store(t, number.load(t) + 1)
        printf(t, "number %d\n", number.load(t))
    if me(t) == 1:
        if mode.load(t) == HALT:
            halt(t)
        if mode.load(t) == WRONG_INDEX:
            pair.array(t)[mode.load(t)] = 0
        if mode.load(t) == DEADLOCK:
            yield handshake_wait_for(t, 0)
        mem_reset(t)
        block = mem_alloc(t, int64, 2)
        mram_read(t, rows.address, block, 16)
        block[1] ^= number.load(t)
        mram_write(t, block, rows.address, 16)


silent = DpuProgram("silent", stack_bytes=256)
value = silent.host("value", int64, initial=3)
unused = silent.mram_noinit("unused", uint8, LOG_BYTES + 32)
table = silent.mram_noinit("table", int16, 40)


@silent.kernel
def keep_silent(t):
    """Change `value`, and print nothing."""
    if me(t) == 0:
        value.store(t, value.load(t) ^ 5)
