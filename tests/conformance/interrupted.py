"""What users do when a launch takes too long: a script that interrupts itself, for tests to run in a fresh process.

    python interrupted.py ENGINE THREADS SIGNALS

Prints what is left after the interrupt, and after a launch that follows.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

import numpy as np
from kernels_for_tests.endless import begun, program

from pim_runtime import DpuSet, EngineOptions

NR_DPUS = 6


def interrupt_when_begun(dpu_set: DpuSet, nr_signals: int) -> None:
    """Press Ctrl-C as soon as the first DPU runs: seen in its memory, since a command would wait for the launch."""
    wram = dpu_set._allocation.backend._shard.memory("wram")
    while not wram[0, begun.address]:
        pass
    for _ in range(nr_signals):
        os.kill(os.getpid(), signal.SIGINT)


def main() -> None:
    engine, threads, nr_signals = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    options = EngineOptions(engine=engine, threads=threads, max_iterations=None)
    with DpuSet(NR_DPUS, options=options) as dpu_set:
        dpu_set.load(program)
        dpu_set.exec()
        rows = len(dpu_set.timeline)
        dpu_set.begun = np.zeros((NR_DPUS, 1), np.int64)
        dpu_set.endless = np.ones((NR_DPUS, 1), np.int64)
        watcher = threading.Thread(target=interrupt_when_begun, args=(dpu_set, nr_signals))
        watcher.start()
        outcome = "ran to its end"
        try:
            dpu_set.exec()
        except KeyboardInterrupt:
            outcome = "interrupted"
        while watcher.is_alive():
            try:
                watcher.join()
            except KeyboardInterrupt:
                continue
        print(outcome, "timeline", [row.operation for row in dpu_set.timeline.rows[rows:]])
        print("endless", dpu_set.endless.int64(), "begun", dpu_set.begun.int64()[0])
        dpu_set.begun = np.zeros((NR_DPUS, 1), np.int64)
        dpu_set.endless = np.zeros((NR_DPUS, 1), np.int64)
        dpu_set.exec()
        print("again", dpu_set.begun.int64())


if __name__ == "__main__":
    main()
