"""How far an exact score can lie above the approximate one: the certificate that nothing needed is pruned (S4-4)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .arguments import check_int8
from .scores import AnalogFormat

__all__ = ["uncertainty"]


def uncertainty(queries: NDArray[np.int8], analog: AnalogFormat | None = None) -> NDArray[np.int64]:
    """U(q) with exact score <= approximate score + U(q) for every int8 key, -128 included; int64 [..., queries].

    queries [..., queries, dim]. Both scores are sums over the dimensions, so with a(.) the levels of the format
        U(q) = sum_i max_k (q_i k - a(q_i) a(k)),    k over all 256 values,
    is proven term by term, and no smaller number is: a key attains it. Truncation to floor levels has the closed form
    15 sum max(q_i, 0) + 16 * 7 * sum r_i for 4 of 8 bits, with r_i = q_i & 15. The specification's form for rounding
    takes the worst msb and the worst lsb of a key apart, and is at least as large.

    Raises TypeError for queries other than int8, ValueError for queries without a dimension.
    """
    check_int8("queries", queries, "queries, dim")
    analog = AnalogFormat() if analog is None else analog
    values = np.arange(-128, 128, dtype=np.int8)
    wide, levels = values.astype(np.int64), analog.key_levels(values).astype(np.int64)
    excess = np.outer(wide, wide) - np.outer(analog.query_levels(values), levels)
    worst = excess.max(axis=1)
    bound: NDArray[np.int64] = worst[queries.astype(np.int64) + 128].sum(axis=-1)
    return bound
