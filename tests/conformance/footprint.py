"""A program of its own: resident memory of a process that touches, loads and launches all 2,560 DPUs of the machine.

Prints three numbers of KiB: before the allocation, after a load and one write per DPU, the peak of the whole process.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from kernels_for_tests.memory import remember

from pim_runtime import DpuSet, EngineOptions


def resident_kib(field):
    """VmRSS (now) or VmHWM (peak) of this process."""
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{field}:")[1].split()[0])


def main():
    before = resident_kib("VmRSS")
    with DpuSet(2560, binary=remember, options=EngineOptions(engine="interpreted")) as dpus:
        dpus.copy("kept", np.zeros((2560, 1), np.int64))
        touched = resident_kib("VmRSS")
    with DpuSet(2560, binary=remember) as dpus:
        dpus.copy("kept", np.arange(2560)[:, None])
        dpus.exec()
        assert dpus.kept.int64() == list(range(1, 2561))
    print(before, touched, resident_kib("VmHWM"))


if __name__ == "__main__":
    main()
