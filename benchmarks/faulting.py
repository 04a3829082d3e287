"""A kernel that DPUs break off on request, and a set of DPUs of which every n-th does."""

from __future__ import annotations

from types import TracebackType

import numpy as np

from pim_runtime import DpuFaultError, DpuProgram, DpuSet, Machine, load_profile
from pim_runtime.device import barrier_wait, int32, int64, me, mem_alloc, mem_reset, mram_read, nr_tasklets

__all__ = ["FaultingSet"]

BLOCK, NR_BLOCKS = 256, 64
REACH = "reach"

program = DpuProgram("faulting", nr_tasklets=16)
numbers = program.mram_noinit("numbers", int32, BLOCK * NR_BLOCKS)
reach = program.host(REACH, int32)
total = program.host("total", int64)
partial = program.wram("partial", int64, 16)
everyone = program.barrier("everyone")


@program.kernel
def sum_blocks(t):
    """Sum the numbers; the last tasklet reads `reach` elements of its last block, which may be more than there are."""
    if me(t) == 0:
        mem_reset(t)
    yield barrier_wait(t, everyone)
    block, acc = mem_alloc(t, int32, BLOCK), 0
    for first in range(me(t), NR_BLOCKS, nr_tasklets(t)):
        mram_read(t, numbers.address + 4 * BLOCK * first, block, 4 * BLOCK)
        for i in range(BLOCK):
            acc += block[i]
    if me(t) == nr_tasklets(t) - 1:
        acc += block[reach.load(t) - 1]
    partial.array(t)[me(t)] = acc
    yield barrier_wait(t, everyone)
    if me(t) == 0:
        acc = 0
        for tasklet in range(nr_tasklets(t)):
            acc += partial.array(t)[tasklet]
        total.store(t, acc)


class FaultingSet:
    """`nr_dpus` DPUs on a machine of their own; every `one_in`-th of them faults in each launch, none for 0."""

    def __init__(self, nr_dpus: int, one_in: int) -> None:
        self._dpus = DpuSet(nr_dpus, machine=Machine(load_profile("upmem-v1a")), binary=program)
        reached = np.full((nr_dpus, 1), BLOCK, np.int32)
        if one_in:
            reached[::one_in] += 1
        self._dpus.copy(REACH, reached)
        self._nr_faults = int((reached > BLOCK).sum())

    def __enter__(self) -> FaultingSet:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._dpus.free()

    def launch(self) -> None:
        """Launch, and make sure that exactly the DPUs that should fault do."""
        nr_faults = 0
        try:
            self._dpus.exec()
        except DpuFaultError as error:
            nr_faults = len(error.faults)
        if nr_faults != self._nr_faults:
            raise RuntimeError(f"{nr_faults} DPUs faulted, but {self._nr_faults} should")
