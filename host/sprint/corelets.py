"""How the kept tokens of a query are shared out over corelets, and how even that is (S4-8).

Neighbours tend to be kept together. Token interleaving gives them to different corelets; a block for each corelet
gives them to the same one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from host.attention.partition import Partition

from .arguments import check_mask

__all__ = ["balance", "compute_cycles", "corelet_tokens", "key_cycles", "mean_balance"]


def corelet_tokens(keep: NDArray[np.bool_], corelets: Partition) -> NDArray[np.int64]:
    """Kept tokens of each corelet, int64 [..., queries, corelets]; keep is bool [..., queries, tokens].

    corelets: how many, and whether token j is that of corelet j mod N ("interleave") or of a block (U-6).
    Raises TypeError for a mask that is not bool, ValueError for one of less than two axes, or without tokens.
    """
    check_mask("keep", keep)
    owner = corelets.over(keep.shape[-1]).owner(np.arange(keep.shape[-1]))
    own = [np.count_nonzero(keep[..., owner == corelet], axis=-1) for corelet in range(corelets.parts)]
    return np.stack(own, axis=-1).astype(np.int64)


def balance(tokens: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean over largest number of tokens of a corelet, float64 [..., queries] for tokens [..., queries, corelets].

    1 where all work until the end, 1 / corelets where one does everything; 1 for a query that keeps nothing.
    """
    could = tokens.max(axis=-1) * tokens.shape[-1]
    share: NDArray[np.float64] = np.where(could > 0, tokens.sum(axis=-1) / np.maximum(could, 1), 1.0)
    return share


def mean_balance(tokens: NDArray[np.int64]) -> float:
    """Balance of all queries together: tokens over what corelets could have done in the time of the slowest ones.

    The queries follow one another, so that those of many tokens weigh more. 1 where nothing is kept.
    """
    could = tokens.max(axis=-1).sum() * tokens.shape[-1]
    return float(tokens.sum() / could) if could else 1.0


def key_cycles(dim: int, lanes: int) -> int:
    """Cycles of one key in a QK-PU, and of its value in a V-PU: ceil(dim / lanes). ValueError below 1 of either."""
    if dim < 1 or lanes < 1:
        raise ValueError(f"a key of {dim} dimensions on {lanes} lanes: both are at least 1.")
    return -(-dim // lanes)


def compute_cycles(tokens: NDArray[np.int64], *, dim: int, lanes: int) -> NDArray[np.int64]:
    """Cycles of the corelets for each query, int64 [..., queries]: those of the corelet with most tokens (S4-8).

    K, softmax and V are a pipeline: while a query's values are added up, the next query's keys are multiplied, so that
    a token counts once. Raises as `key_cycles`.
    """
    cycles: NDArray[np.int64] = tokens.max(axis=-1) * key_cycles(dim, lanes)
    return cycles
