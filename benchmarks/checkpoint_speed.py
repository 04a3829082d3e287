"""How fast states are saved and restored: GB/s of memory that is not zero, measured on this computer.

Each figure is the best of some rounds: memory that this process touches for the first time costs the operating system
more than the copy, and the first round pays for it.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from pim_runtime import DpuContext, DpuProgram, DpuSet, EngineOptions, Machine, load_profile
from pim_runtime.device import uint8

__all__ = ["main"]

ROUNDS = 3

filled = DpuProgram("filled")
data = filled.mram_noinit("data", uint8, 32 << 20)


@filled.kernel
def nothing(t):
    """The subject is what lies in memory."""


def main(nr_dpus: int, mib_per_dpu: int, folder: Path) -> None:
    """Print the speed of each step for so many DPUs with so much data each."""
    options = EngineOptions(engine="interpreted")
    with DpuSet(nr_dpus, machine=Machine(load_profile("upmem-v1a")), options=options, binary=filled) as dpus:
        row = np.random.default_rng(0).integers(1, 256, mib_per_dpu << 20, np.uint8)
        dpus.copy("data", row)
        nbytes = nr_dpus * len(row)
        path = folder / "state"
        context, seconds = _best(dpus.checkpoint)
        _show("checkpoint: memory to context", nbytes, seconds)
        _show("save: context to file, on the disk", nbytes, _best(lambda: context.save(path))[1])
        del context
        context, seconds = _best(lambda: DpuContext.open(path))
        _show("open: file to context, checked", nbytes, seconds)
        _show("restore: context to memory", nbytes, _best(lambda: dpus.restore(context))[1])
        print(f"{path.stat().st_size / 1e9:.2f} GB in the file, {nr_dpus} DPUs of {mib_per_dpu} MiB")
    with DpuSet(2560, machine=Machine(load_profile("upmem-v1a")), options=options, binary=filled) as dpus:
        dpus.copy("data", np.ones(8, np.uint8))
        context, seconds = _best(dpus.checkpoint)
        print(f"checkpoint of 2,560 DPUs (160 GiB) with a page each: {seconds:.2f} s")
        print(f"restore of them: {_best(lambda: dpus.restore(context))[1]:.2f} s")


def _best(work: Callable[[], object]) -> tuple[object, float]:
    """What the work gave, and the seconds of its fastest round."""
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        result = work()
        times.append(time.perf_counter() - start)
    return result, min(times)


def _show(name: str, nbytes: int, seconds: float) -> None:
    print(f"{name:<36} {nbytes / seconds / 1e9:6.2f} GB/s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dpus", type=int, default=64)
    parser.add_argument("--mib-per-dpu", type=int, default=16)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="where the file is written")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as scratch:
        main(arguments.dpus, arguments.mib_per_dpu, Path(scratch))
