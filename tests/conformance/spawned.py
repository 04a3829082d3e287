"""What users do with multiprocessing: DPUs of their own in every worker of a pool, started one way or the other.

python spawned.py fork|spawn
"""

from __future__ import annotations

import multiprocessing
import sys

from kernels_for_tests.endless import program

from pim_runtime import DpuSet


def begun_after(nr_launches: int) -> int:
    """Launch so often; gives how many tasklets have begun."""
    with DpuSet(1, binary=program) as dpu_set:
        for _ in range(nr_launches):
            dpu_set.exec()
        return dpu_set.begun.int64()


def main() -> None:
    here = begun_after(1)
    with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:
        print(here, *pool.map(begun_after, [1, 2, 3]))


if __name__ == "__main__":
    main()
