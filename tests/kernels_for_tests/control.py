"""Kernels around control flow: early returns, faults, programs made by factories, and a bug that hides in the order."""

from __future__ import annotations

from pim_runtime import DpuProgram, dpu_program
from pim_runtime.device import barrier_wait, dpu_function, halt, int32, int64, me, nr_tasklets

__all__ = ["HALT", "WRONG_INDEX", "forgotten_barrier", "scaling", "some_return", "stumble"]

some_return = DpuProgram("some_return", nr_tasklets=16)
last_phase = some_return.host("last_phase", int64, 24)
pair = some_return.barrier("pair", count=2)


@some_return.kernel
def some_return_kernel(t):
    """Tasklets 0 and 1 go through ten phases; the others return at once, some before and some after a statement."""
    phases = last_phase.array(t)
    if me(t) >= 4:
        return
    phases[me(t)] = 1
    if me(t) >= 2:
        return
    for phase in range(100):
        never = 0
        while never > 0:  # numba can see that it does not run
            never -= 1
        if phase == 10:
            return
        yield barrier_wait(t, pair)
        phases[me(t)] += 1


HALT, WRONG_INDEX = 1, 2

stumble = DpuProgram("stumble", nr_tasklets=2)
stumbles = stumble.host("stumbles", int32)
reached = stumble.host("reached", int32, 2)
midway = stumble.barrier("midway")


@stumble.kernel
def stumble_kernel(t):
    """Fault after the first barrier on the DPUs that were chosen."""
    yield barrier_wait(t, midway)
    if me(t) == 1:
        if stumbles.load(t) == HALT:
            halt(t)
        if stumbles.load(t) == WRONG_INDEX:
            reached.array(t)[2 + stumbles.load(t)] = 1
    yield barrier_wait(t, midway)
    reached.array(t)[me(t)] = 1


@dpu_program
def scaling(kind, factor):
    """A family: multiply 64 numbers of one type; the kernel closes over type, factor and its own helper."""
    program = DpuProgram(f"scaling_{kind}_by_{factor}", nr_tasklets=2)
    vector = program.host("vector", kind, 64)

    @dpu_function
    def scaled(x):
        return kind(factor * x)

    @program.kernel
    def scale(t):
        view = vector.array(t)
        for i in range(me(t), vector.size, nr_tasklets(t)):
            view[i] = scaled(view[i])

    return program


forgotten_barrier = DpuProgram("forgotten_barrier", nr_tasklets=16)
slots = forgotten_barrier.wram("slots", int64, 24)
neighbours = forgotten_barrier.host("neighbours", int64, 24)


@forgotten_barrier.kernel
def forgotten_barrier_kernel(t):
    """Read the slot of the tasklet before without waiting for it: right in cyclic order only."""
    slots.array(t)[me(t)] = me(t) + 1
    if me(t) > 0:
        neighbours.array(t)[me(t)] = slots.array(t)[me(t) - 1]
