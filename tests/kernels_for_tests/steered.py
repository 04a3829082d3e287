"""A kernel that runs what its input says: one compile serves tests of any control flow."""

from __future__ import annotations

from pim_runtime import DpuProgram
from pim_runtime.device import (
    barrier_wait,
    charge,
    div,
    dpu_function,
    extern_function,
    int16,
    int32,
    int64,
    me,
    mram_read,
    mram_write,
    mutex_lock,
    mutex_unlock,
    nr_tasklets,
    rem,
    stated,
    wram_view,
)

__all__ = ["NR_CODES", "NR_NUMBERS", "NR_OPERATIONS", "steered"]

NR_CODES, NR_NUMBERS, NR_OPERATIONS = 12, 16, 14
MAX_TASKLETS = 24
ROW_BYTES = 8 * NR_NUMBERS

steered = DpuProgram("steered", nr_tasklets=4)
codes = steered.host("codes", int32, NR_CODES)
numbers = steered.host("numbers", int64, MAX_TASKLETS * NR_NUMBERS)
shared = steered.host("shared", int64)
together = steered.barrier("together")
guard = steered.mutex("guard")
heap = steered.mram_heap


@dpu_function
def bump(t, v, i):
    """An effect, to be seen in the middle of expressions."""
    v[i] += 1
    charge(t, 2)
    return v[i] & 7


@extern_function
def search(v, wanted):
    """Early return from a loop."""
    for i in range(len(v)):
        if v[i] & 15 == wanted & 15:
            return i
    return len(v)


@dpu_function
def known_block(t, v):
    """Stated slots, with a routine that is counted."""
    stated(t, 21)
    for i in range(4):
        v[i] = int32(v[i]) * int32(v[i + 1])


@steered.kernel
def steered_kernel(t):
    """Every tasklet runs the codes: operation 0 to NR_OPERATIONS - 1 in the low bits, an argument above."""
    mine = wram_view(t, int64, numbers.address + me(t) * ROW_BYTES, NR_NUMBERS)
    program, here = codes.array(t), heap.address + me(t) * ROW_BYTES
    for position in range(NR_CODES):
        operation, k = program[position] & 15, (program[position] >> 4) & 15
        if operation == 0:
            for i in range(k):
                mine[i] = mine[i] * 3 + k
        elif operation == 1:
            total = int32(0)
            for i in range(NR_NUMBERS):
                total += int32(mine[i]) * int32(mine[k])
            mine[k] = int64(total)
        elif operation == 2:
            left = k
            while left > 0 and mine[left] & 3:
                left -= 1
                if mine[left] < 0:
                    break
            mine[left] ^= left
        elif operation == 3:
            yield barrier_wait(t, together)
        elif operation == 4:
            for i in range(k & 3):
                mine[i] += i
                yield barrier_wait(t, together)
                charge(t, i + 1)
        elif operation == 5:
            for i in range(k):
                if mine[i] & 1:
                    continue
                mine[i] = div(int32, mine[i], k + 1) + rem(int64, mine[i], 7)
        elif operation == 6:
            mine[k] = bump(t, mine, k) + (bump(t, mine, 3) if mine[k] & 1 else k) * bump(t, mine, k)
        elif operation == 7:
            mine[k] = (mine[k] > 5 and bump(t, mine, 2) > 3) or bump(t, mine, 4)
        elif operation == 8:
            mine[k] += search(mine, k)
        elif operation == 9:
            known_block(t, mine)
        elif operation == 10:
            mram_write(t, mine, here, 8 * (k + 1))
            mram_read(t, here, mine, 8 * (k // 2 + 1))
        elif operation == 11:
            yield mutex_lock(t, guard)
            shared.store(t, shared.load(t) + k + me(t))
            mutex_unlock(t, guard)
        elif operation == 12:
            for i in range(k):
                for j in range(i):
                    mine[i] = int64(int16(mine[i]) * int16(mine[j]))
        else:
            if me(t) == nr_tasklets(t) - 1:
                mine[k] = max(mine[k], -mine[0], k)
