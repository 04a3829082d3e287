"""A small program as its users write it, in a file next to its helpers; the tests copy both and run them afresh.

Prints the results, and whether its driver came from the cache: "hit" or "compiled".
"""

from __future__ import annotations

import demo_helpers
import numpy as np

from pim_runtime import DpuProgram, DpuSet
from pim_runtime.compiler.driver import load_driver
from pim_runtime.device import barrier_wait, int64, me, nr_tasklets

weighted = demo_helpers.weighted
program = DpuProgram("demo", nr_tasklets=4)
numbers = program.host("numbers", int64, 16)
partial = program.wram("partial", int64, 4)
total = program.host("total", int64)
done = program.barrier("done")


@program.kernel
def demo(t):
    """Sum of weighted numbers."""
    view, acc = numbers.array(t), 0
    for i in range(me(t), numbers.size, nr_tasklets(t)):
        acc += weighted(view[i])
    partial.array(t)[me(t)] = acc
    yield barrier_wait(t, done)
    if me(t) == 0:
        acc = 0
        for tasklet in range(nr_tasklets(t)):
            acc += partial.array(t)[tasklet]
        total.store(t, acc)


def main():
    with DpuSet(2) as dpus:
        binary = dpus.load(program)
        dpus.copy("numbers", np.arange(32).reshape(2, 16))
        dpus.exec()
        print(*dpus.total.int64(), "hit" if sum(load_driver(binary.closure).stats.cache_hits.values()) else "compiled")


if __name__ == "__main__":
    main()
