"""A program whose next result depends on all that it has left in WRAM and MRAM: nothing may be lost in between.

Run as a script with a folder and what to do, it is a host program that saves its state after every launch.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
from pathlib import Path

import numpy as np

from pim_runtime import DpuContext, DpuProgram, DpuSet, EngineOptions, Machine, load_profile
from pim_runtime.device import barrier_wait, int64, me, mem_alloc, mem_reset, mram_read, mram_write, nr_tasklets

NR_DPUS, NR_STEPS, KILLED_AFTER = 70, 6, 4
WORDS = 16

walker = DpuProgram("walker", nr_tasklets=3)
history = walker.mram_noinit("history", int64, 1 << 16)
step = walker.host("step", int64)
total = walker.wram("total", int64, 3)
done = walker.barrier("done")


@walker.kernel
def walk(t):
    """Mix what lies in `history` with `total`, which the host never sees, and go one stride further."""
    block = mem_alloc(t, int64, WORDS)
    if me(t) == 0 and step.load(t) % 3 == 2:
        mem_reset(t)
    here = history.address + 8 * WORDS * (1000 * step.load(t) + me(t))
    mram_read(t, here, block, 8 * WORDS)
    for i in range(WORDS):
        total.array(t)[me(t)] = (total.array(t)[me(t)] * 31 + block[i] + i) & 0xFFFFFFFF
        block[i] = total.array(t)[me(t)] * nr_tasklets(t)
    mram_write(t, block, here + 8 * WORDS * 1000, 8 * WORDS)
    yield barrier_wait(t, done)
    if me(t) == 0:
        step.store(t, step.load(t) + 1)


def new_set():
    """DPUs of a machine of their own, with the program and nothing in their memories."""
    return DpuSet(
        NR_DPUS,
        binary=walker,
        machine=Machine(load_profile("upmem-v1a")),
        options=EngineOptions(engine="interpreted", timing="exact"),
    )


def fill(dpus):
    """The input of step 0."""
    dpus.copy("history", np.arange(NR_DPUS * 48, dtype=np.int64).reshape(NR_DPUS, 48) * 12345)


def fingerprint(dpus):
    """All bits and the simulated time, as text."""
    digest = hashlib.sha256()
    for blocks in dpus.checkpoint().state.memories.values():
        digest.update(blocks.numbers.tobytes() + blocks.contents.tobytes())
    return f"{digest.hexdigest()} {dpus.timeline.now_ps} {len(dpus.timeline)} {dpus.timeline.duration_ps('launch')}"


def main(path: Path, task: str) -> None:
    """task: "killed" dies in the middle of a step, "resumed" goes on from the last checkpoint."""
    dpus, first = new_set(), 0
    if task == "resumed":
        context = DpuContext.open(path)
        dpus.restore(context)
        first = context.note["steps done"]
    else:
        fill(dpus)
    for number in range(first, NR_STEPS):
        dpus.exec()
        if task == "killed" and number == KILLED_AFTER:
            os.kill(os.getpid(), signal.SIGKILL)
        dpus.checkpoint().save(path, note={"steps done": number + 1})
    print(fingerprint(dpus))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
