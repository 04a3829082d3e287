"""What DPUs must answer, bit for bit: the integer references applied part by part, and merged as the host merges.

Owns how a partition, masks, biases and tasklets enter the references; those know only rows of K and V.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .answers import Answers, merge_parts, rearrange
from .masks import visible
from .online import attention_online
from .partition import WHOLE, Partition
from .reference import attention_div_d, attention_softmax
from .spec import AttentionSpec
from .sums import LinearSums, OnlineSums, SoftmaxSums
from .zscore import attention_linear, attention_zscore, attention_zscore_split

__all__ = ["expected_answers"]

Integers = NDArray[np.signedinteger[Any]]


def expected_answers(
    spec: AttentionSpec,
    q: Integers,
    k: Integers,
    v: Integers,
    *,
    partition: Partition = WHOLE,
    nr_tasklets: int = 17,
    position: int | None = None,
) -> Answers:
    """Answers of one request to queries q [n, heads, dim] at one position; k, v [kv_heads, tokens, dim].

    position: of all queries; default: the newest token. nr_tasklets matters to softmax_online only.
    The record's arrays are [n, heads, ...].
    """
    tokens = k.shape[1]
    place = tokens - 1 if position is None else position
    first, end = map(int, visible(place, tokens=tokens, window=spec.window))
    places = partition.over(spec.max_tokens)
    locals_ = [places.positions(part, tokens) for part in range(partition.parts)]
    chosen = [own[(own >= first) & (own < end)] for own in locals_]
    skipped = [int((own < first).sum()) for own in locals_]
    heads = [
        _head(
            spec,
            head,
            q[:, head],
            k[head // spec.queries],
            v[head // spec.queries],
            chosen,
            skipped,
            place,
            nr_tasklets,
        )
        for head in range(spec.heads)
    ]
    axis = 2 if spec.norm != "zscore" else 1  # of the heads, behind parts and queries
    answers = rearrange(heads, lambda *pieces: np.stack(pieces, axis=axis))
    return answers if spec.norm == "zscore" else merge_parts(spec, answers)


def _head(
    spec: AttentionSpec,
    head: int,
    q: Integers,
    k: Integers,
    v: Integers,
    chosen: list[NDArray[np.int64]],
    skipped: list[int],
    position: int,
    nr_tasklets: int,
) -> Answers:
    """Answers of one query head, [parts, n, ...]; z-scores are merged already, [n, ...]."""
    keys, values = [k[own][None] for own in chosen], [v[own][None] for own in chosen]
    biases = [spec.biases(head, position - own) if spec.alibi_slopes else None for own in chosen]
    if spec.norm == "zscore":
        if len(chosen) == 1:
            return attention_zscore(q, keys[0], values[0], bias=biases[0])
        added = [
            np.zeros(len(own), np.int64) if bias is None else bias for own, bias in zip(chosen, biases, strict=True)
        ]
        return attention_zscore_split(q, keys, values, bias=added)
    parts = []
    for own, key, value, bias, before in zip(chosen, keys, values, biases, skipped, strict=True):
        if not len(own):
            parts.append(_nothing(spec, len(q)))
        elif spec.norm == "div_d":
            parts.append(attention_div_d(q, key, value, acc=spec.acc, bias=bias))
        elif spec.norm == "zscore_linear":
            parts.append(attention_linear(q, key, value, bias=bias))
        elif spec.norm == "softmax":
            parts.append(attention_softmax(q, key, value, spec.plans[head], bias=bias))
        else:
            workers, plan = nr_tasklets - 1, spec.plans[head]
            parts.append(attention_online(q, key, value, plan, workers=workers, first_token=before, bias=bias))
    return rearrange(parts, lambda *pieces: np.stack(pieces))


def _nothing(spec: AttentionSpec, n: int) -> Answers:
    """The answer of a part that sees no token."""
    zeros, wide = np.zeros(n, np.int64), np.zeros((n, spec.dim), np.int64)
    if spec.norm == "softmax":
        return SoftmaxSums(zeros, zeros.astype(np.uint64), wide)
    if spec.norm == "softmax_online":
        return OnlineSums(zeros, zeros.astype(np.uint64), wide, zeros)
    if spec.norm == "zscore_linear":
        return LinearSums(wide, wide, zeros, np.zeros((n, 3), np.int64), zeros)
    return wide if spec.acc == "wide" else wide.astype(spec.operands.dtype)
