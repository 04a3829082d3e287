"""Which rows of K and V adjacent queries load, reuse and evict: the spatial-locality engine (S4-5).

Owns the boolean forms of one step, and the run over a sequence of queries with a buffer of finite size. K and V of a
token come and go together, so one bit per token says all.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from host.attention.integer_math import whole_number
from host.llm.quantisation import INT8, QuantConfig
from host.machines.capacity import how_many_fit

from .arguments import check_mask
from .head import kv_token_bytes

__all__ = ["Movement", "Retention", "Step", "adjacent_step", "buffer_tokens", "first_step", "movement", "overlap"]

Retention = Literal["kept", "recent"]
"""What stays in the buffer. kept: of the tokens that the newest query keeps, the last used ones; what it prunes leaves,
as the document's two vectors say. recent: the last used tokens of all, so that a pruned one leaves only for another."""


class Step(NamedTuple):
    """What becomes of each token between two queries if the buffer has room for all that are kept; bool [..., tokens].

    load: pruned before and kept now. reuse: kept before and now. evict: kept before and pruned now.
    """

    load: NDArray[np.bool_]
    reuse: NDArray[np.bool_]
    evict: NDArray[np.bool_]


class Movement(NamedTuple):
    """What every query moves, bool [..., queries, tokens]. Each kept token is in exactly one of load and reuse.

    load: read from memory. reuse: found in the buffer. evict: leaves the buffer before the next query, and was in it
    before or came in for this one. refetch: those of `load` that the query before had kept, and the buffer had no room
    for.
    """

    load: NDArray[np.bool_]
    reuse: NDArray[np.bool_]
    evict: NDArray[np.bool_]
    refetch: NDArray[np.bool_]


def adjacent_step(pruned_before: NDArray[np.bool_], pruned: NDArray[np.bool_]) -> Step:
    """The vectors of two pruning vectors, [..., tokens]: load is P' & ~P, reuse ~P' & ~P, evict ~P' & P.

    A published note gives load and reuse the same formula (E4-5). Broadcasts; raises TypeError for other types.
    """
    for vector in (pruned_before, pruned):
        if vector.dtype != np.bool_:
            raise TypeError(f"a pruning vector of type {vector.dtype}: it is bool, True where a token is pruned.")
    return Step(load=pruned_before & ~pruned, reuse=~pruned_before & ~pruned, evict=~pruned_before & pruned)


def first_step(pruned: NDArray[np.bool_]) -> Step:
    """The vectors of the first query: it loads what it keeps."""
    return adjacent_step(np.ones_like(pruned), pruned)


def movement(keep: NDArray[np.bool_], *, capacity_tokens: int | None = None, retention: Retention = "kept") -> Movement:
    """What the queries of a sequence move, one after the other from an empty buffer; keep [..., queries, tokens].

    capacity_tokens: of the buffer, 0 or more; None for one that holds all. A query first uses the kept tokens that are
    there, then loads the others, both in the order of their numbers, so that nothing is thrown out before its use;
    where there are more than fit, each load replaces the least recently used token.

    With None and retention "kept" every query's vectors are those of `adjacent_step`. Raises TypeError for a mask that
    is not bool, ValueError for one with less than two axes, a negative capacity or an unknown retention.
    """
    check_mask("keep", keep)
    tokens = keep.shape[-1]
    capacity = tokens if capacity_tokens is None else whole_number("capacity_tokens", capacity_tokens)
    if capacity < 0:
        raise ValueError(f"capacity_tokens = {capacity}: a buffer holds 0 tokens or more; None for all.")
    if retention not in get_args(Retention):
        raise ValueError(f"retention = {retention!r}: choose one of {', '.join(get_args(Retention))}.")
    found = Movement(*(np.zeros(keep.shape, np.bool_) for _ in Movement._fields))
    resident = np.zeros((*keep.shape[:-2], tokens), np.bool_)
    last_use = np.zeros(resident.shape, np.int64)
    for t in range(keep.shape[-2]):
        now = keep[..., t, :]
        found.reuse[..., t, :] = now & resident
        found.load[..., t, :] = now & ~resident
        if t:
            found.refetch[..., t, :] = found.load[..., t, :] & keep[..., t - 1, :]
        # Every query has 2 * tokens numbers: hits come before loads, each in the order of the tokens.
        order = 2 * tokens * t + np.arange(1, tokens + 1) + tokens * found.load[..., t, :]
        last_use = np.where(now, order, last_use)
        present = now | resident
        staying = now if retention == "kept" else present
        after = staying & (last_use >= _newest(np.where(staying, last_use, 0), capacity))
        found.evict[..., t, :] = present & ~after
        resident = after
    return found


def overlap(keep: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Share of kept tokens that the query before kept too, float64 [...]: 1 - loads / kept without the first query.

    Loaded of all = kept of all * (1 - overlap), on average. NaN for fewer than two queries, or if they keep nothing.
    """
    check_mask("keep", keep)
    both = np.count_nonzero(keep[..., 1:, :] & keep[..., :-1, :], axis=(-2, -1))
    kept = np.count_nonzero(keep[..., 1:, :], axis=(-2, -1))
    share: NDArray[np.float64] = np.where(kept > 0, both / np.maximum(kept, 1), np.nan)
    return share


def buffer_tokens(buffer_bytes: int, *, dim: int, quant: QuantConfig = INT8) -> int:
    """Tokens whose rows of K and V fit a buffer: 128, 256 and 512 for 16, 32 and 64 KiB at dim 64 and int8 (P-4).

    Raises ValueError for a negative buffer or a dim below 1.
    """
    each_bytes = kv_token_bytes(dim, quant)
    return how_many_fit(room_bytes=buffer_bytes, resident_bytes=0, each_bytes=each_bytes, what="rows of K and V")


def _newest(last_use: NDArray[np.int64], capacity: int) -> NDArray[np.int64]:
    """The last use that a token needs to be among the `capacity` newest, [..., 1]; never below 1, which is no use."""
    tokens = last_use.shape[-1]
    if capacity == 0:
        return last_use.max(axis=-1, keepdims=True, initial=0) + 1
    if capacity >= tokens:
        return np.ones((*last_use.shape[:-1], 1), np.int64)
    place = tokens - capacity
    return np.maximum(np.partition(last_use, place, axis=-1)[..., place : place + 1], 1)
