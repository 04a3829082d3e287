"""What the attention kernels leave of one query: integer sums from which the output follows.

One record per norm that does not answer with finished integers (`div_d` does). Leading axes are free: batch and query
heads, or the parts of a split context in front of them. `merge` joins parts, `output` turns sums into real numbers.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["LinearSums", "OnlineSums", "SoftmaxSums", "ZscoreSums"]


class SoftmaxSums(NamedTuple):
    """Norm "softmax": (m, l, O). The output is v_scale * O / l (K-6, K-11).

    maximum: int64 [...], the largest score.
    weight_sum: uint64 [...], Q(P), about 2**P or more; 0 for a part without tokens.
    weighted_values: int64 [..., dim], Q(P) weights times integer values.
    """

    maximum: NDArray[np.int64]
    weight_sum: NDArray[np.uint64]
    weighted_values: NDArray[np.int64]


class OnlineSums(NamedTuple):
    """Norm "softmax_online": as SoftmaxSums, and how often sums were rescaled to a new maximum (K-8).

    rescales: int64 [...], the longest chain of rescalings that any weight went through; the error bound grows with it.
    """

    maximum: NDArray[np.int64]
    weight_sum: NDArray[np.uint64]
    weighted_values: NDArray[np.int64]
    rescales: NDArray[np.int64]


class ZscoreSums(NamedTuple):
    """Norm "zscore": sum_j z_j v_j with z in Q(F). The output is v_scale * 2**-F * the sum (K-5, K-11).

    weighted_values: int64 [..., dim].
    fraction_bits: int64 [...], F.
    """

    weighted_values: NDArray[np.int64]
    fraction_bits: NDArray[np.int64]


class LinearSums(NamedTuple):
    """Norm "zscore_linear": the sums of M-4. With them the output is v_scale * (n A - S1 B) / sqrt(n S2 - S1**2).

    score_values: int64 [..., dim], A = sum_j s_j v_j.
    values: int64 [..., dim], B = sum_j v_j.
    score_sum: int64 [...], S1 = sum_j s_j.
    square_limbs: int64 [..., 3], sums of hi**2, hi * lo and lo**2 with s = hi * 2**24 + lo and -2**23 <= lo < 2**23:
        S2 = sum_j s_j**2 = limb[0] * 2**48 + 2 * limb[1] * 2**24 + limb[2], which 64 bits do not hold.
    tokens: int64 [...], n.
    """

    score_values: NDArray[np.int64]
    values: NDArray[np.int64]
    score_sum: NDArray[np.int64]
    square_limbs: NDArray[np.int64]
    tokens: NDArray[np.int64]
