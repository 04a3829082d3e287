"""Work of whole rows of K or of V alone, for methods that have read one of them before attention begins."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from host.sprint.selection import Work, attention_work

__all__ = ["row_work"]


def row_work(rows: NDArray[np.int64], *, dim: int) -> Work:
    """Reading and multiplying so many rows of K or V, int8, for each query [...]: half of what a kept token costs."""
    return Work(*(of_both // 2 for of_both in attention_work(rows, dim=dim)))
