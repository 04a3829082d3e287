"""What users do with processes: a script that forks in the middle of everything, for tests to run in a fresh process.

    python forked.py ENGINE

Another thread launches all the time, so it may hold any lock when this one forks. Prints what parent and child see.
"""

from __future__ import annotations

import os
import sys
import threading
import warnings

import numpy as np
from kernels_for_tests.endless import begun, program

from pim_runtime import DpuSet, EngineOptions, Machine, load_profile

NR_FORKS = 10


def count(dpu_set: DpuSet) -> int:
    """Launch once more; gives how many tasklets have begun on DPU 0 so far."""
    dpu_set.exec()
    return int(dpu_set.begun.int64()[0])


def child(mine: DpuSet, busy: DpuSet, machine: Machine) -> int:
    """Everything works in the child: both sets, and a new one."""
    seen = [count(mine), count(mine)]
    busy.begun = np.zeros((2, 1), np.int64)
    with DpuSet(2, machine=machine, options=EngineOptions(engine=sys.argv[1], threads=2), binary=program) as new:
        seen += [count(busy), count(new)]
    return 0 if seen == [4, 6, 2, 2] else 1


def main() -> None:
    warnings.simplefilter("ignore")  # Python warns of every fork of a process with threads
    machine, options = Machine(load_profile("upmem-v1a")), EngineOptions(engine=sys.argv[1], threads=2)
    with (
        DpuSet(2, machine=machine, options=options, binary=program) as mine,
        DpuSet(2, machine=machine, options=options, binary=program) as busy,
    ):
        count(mine)
        stop = threading.Event()

        def launch_all_the_time() -> None:
            while not stop.is_set():
                busy.exec()

        thread = threading.Thread(target=launch_all_the_time)
        thread.start()
        statuses = []
        for _ in range(NR_FORKS):
            pid = os.fork()
            if pid == 0:
                os._exit(child(mine, busy, machine))
            statuses.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        stop.set()
        thread.join()
        print("children", set(statuses), "parent", count(mine), begun.name, machine.free_ranks)


if __name__ == "__main__":
    main()
