"""What pruning leaves of a KV cache's traffic, for the machines whose attention time has a term for it (P-6)."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from host.machines.kv_placement import KvPruning

from .arguments import check_mask
from .locality import Retention, movement

__all__ = ["kv_pruning"]


def kv_pruning(keep: NDArray[np.bool_], *, capacity_tokens: int | None = 0, retention: Retention = "kept") -> KvPruning:
    """Kept and loaded tokens of all, as exact fractions, over the queries of `keep` [..., queries, tokens].

    capacity_tokens: of the buffer that adjacent queries share; 0 is none, as of a machine that reads what is kept for
    every query, None one that holds all. The first query, which loads all it keeps, is counted.

    Raises TypeError and ValueError as `locality.movement`, and ValueError for a mask without a query.
    """
    check_mask("keep", keep)
    if not keep.size:
        raise ValueError(f"keep has shape {keep.shape}: no query, so no fraction that is kept.")
    loads = movement(keep, capacity_tokens=capacity_tokens, retention=retention).load
    return KvPruning(keep=_fraction(keep), load=_fraction(loads))


def _fraction(mask: NDArray[np.bool_]) -> Fraction:
    return Fraction(int(np.count_nonzero(mask)), mask.size)
