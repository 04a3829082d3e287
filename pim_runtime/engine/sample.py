"""Which DPUs of a launch count what depends on the data."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["sample_of"]


def sample_of(timing: str, nr_dpus: int) -> NDArray[np.int64]:
    """1 for every DPU that measures, int64 [nr_dpus]: all for "exact", none for "static" and "off", and for
    "sample:N" N of them at equal distances, the first one included (all, where there are no more than N)."""
    measured = np.zeros(nr_dpus, np.int64)
    if timing == "exact":
        measured[:] = 1
    elif timing.startswith("sample:"):
        size = min(nr_dpus, int(timing.removeprefix("sample:")))
        measured[[i * nr_dpus // size for i in range(size)]] = 1
    return measured
