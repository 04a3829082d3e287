"""From what DPUs leave to answers: the records of each context's output, and parts of a split context put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dpu_kernels.attention import (
    GROUP,
    OnlineState,
    SoftmaxState,
    ZscoreState,
    output_kind,
    summed_rows,
)
from dpu_kernels.pruning import ZscoreStatistic

from .merge import add_parts, merge_linear, merge_online, merge_softmax
from .spec import AttentionSpec
from .sums import LinearSums, OnlineSums, SoftmaxSums, ZscoreSums
from .zscore import ScoreStatistics, z_bits

__all__ = [
    "Answers",
    "RawOutputs",
    "merge_parts",
    "read_answers",
    "read_kept",
    "read_outputs",
    "read_statistics",
    "rearrange",
]

Integers = NDArray[np.signedinteger[Any]]
Answers = Integers | SoftmaxSums | OnlineSums | ZscoreSums | LinearSums
"""Outputs of queries: integers [..., dim] for norm "div_d", else the norm's record."""

SQUARES = [ZscoreState.HIGH_SQUARES, ZscoreState.MIXED, ZscoreState.LOW_SQUARES]


class RawOutputs(NamedTuple):
    """Output rows of contexts [n]: sums [n, rows, dim] in the output's type, statistics int64 [n, queries, length]."""

    sums: Integers
    statistics: NDArray[np.int64]


def read_outputs(spec: AttentionSpec, rows: NDArray[np.uint8]) -> RawOutputs:
    """Take apart the bytes [n, rows * output_bytes] that stand at a DPU's output."""
    kind, length = output_kind(spec.storage.kind, spec.acc), spec.statistics_length
    by_query = rows.reshape(len(rows), summed_rows(spec.norm, spec.queries), -1)
    sums = np.ascontiguousarray(by_query[..., : spec.dim * kind.itemsize]).view(kind.dtype)
    tails = np.ascontiguousarray(by_query[:, : spec.queries, by_query.shape[-1] - 8 * length :])
    return RawOutputs(sums=sums, statistics=tails.view(np.int64).reshape(len(rows), spec.queries, length))


def read_statistics(outputs: RawOutputs, tokens: NDArray[np.int64]) -> ScoreStatistics:
    """Statistics [n, queries] of the first launch of M-5; tokens [n] of each context."""
    found = outputs.statistics
    return ScoreStatistics(
        tokens=np.broadcast_to(tokens[:, None], found.shape[:2]),
        score_sum=found[..., ZscoreState.SCORE_SUM],
        square_limbs=found[..., SQUARES],
        minimum=found[..., ZscoreState.LOWEST],
        maximum=found[..., ZscoreState.HIGHEST],
    )


def read_answers(
    spec: AttentionSpec, outputs: RawOutputs, *, tokens: NDArray[np.int64], visible: NDArray[np.int64]
) -> Answers:
    """Records with leading axes [n, queries]. tokens [n]: that each context saw; visible [n]: with all its parts."""
    sums, found = outputs
    if spec.norm == "div_d":
        return sums
    if spec.norm == "softmax":
        return SoftmaxSums(
            found[..., SoftmaxState.MAXIMUM], found[..., SoftmaxState.WEIGHT_SUM].astype(np.uint64), sums
        )
    if spec.norm == "softmax_online":
        weights = found[..., OnlineState.WEIGHT_SUM].astype(np.uint64)
        return OnlineSums(found[..., OnlineState.MAXIMUM], weights, sums, found[..., OnlineState.RESCALES])
    if spec.norm == "zscore":
        counted = visible[:, None] if spec.selector is None else found[..., ZscoreStatistic.KEPT]
        return ZscoreSums(sums, np.broadcast_to(z_bits(counted), sums.shape[:2]))
    values = np.broadcast_to(sums[:, spec.queries :], (len(sums), spec.queries, spec.dim))
    counts = np.broadcast_to(tokens[:, None], sums[:, : spec.queries].shape[:2])
    return LinearSums(sums[:, : spec.queries], values, found[..., ZscoreState.SCORE_SUM], found[..., SQUARES], counts)


def read_kept(
    spec: AttentionSpec,
    rows: NDArray[np.uint8],
    *,
    first: NDArray[np.int64],
    end: NDArray[np.int64],
    capacity: int,
    workers: int,
) -> NDArray[np.bool_]:
    """Bits of kept tokens as bool [n, queries, capacity], from the bytes [n, kept_bytes] that pruning leaves.

    first, end [n]: tokens that took part. See dpu_kernels.pruning.kept_bytes for the order of the bytes.
    """
    chunks = rows.reshape(len(rows), -1, GROUP, spec.queries)
    kept = np.zeros((len(rows), spec.queries, -(-capacity // GROUP) * GROUP), np.bool_)
    for call, (start, stop) in enumerate(zip(first.tolist(), end.tolist(), strict=True)):
        groups = np.arange(max(0, -(-stop // GROUP) - start // GROUP))
        turn, worker = groups // workers, groups % workers
        bits = chunks[call, turn // GROUP * workers + worker, turn % GROUP]  # [groups, queries]
        tokens = np.unpackbits(bits.T[..., None], axis=-1, bitorder="little").reshape(spec.queries, -1)
        place = start // GROUP * GROUP
        kept[call, :, place : place + tokens.shape[1]] = tokens
    return kept[..., :capacity]


def rearrange(records: Sequence[Answers], arrange: Callable[..., NDArray[Any]]) -> Answers:
    """One record of the same kind; `arrange` makes each of its arrays from those of `records`."""
    first = records[0]
    if isinstance(first, np.ndarray):
        return arrange(*records)
    return type(first)(*(arrange(*pieces) for pieces in zip(*records, strict=True)))


def merge_parts(spec: AttentionSpec, parts: Answers) -> Answers:
    """One answer per query from those of its parts: [parts, ..., heads] to [..., heads] (M-1, M-2, M-4, M-5).

    The last leading axis is that of the query heads.
    """
    if isinstance(parts, SoftmaxSums):
        return merge_softmax(parts, spec.merging_plans)
    if isinstance(parts, OnlineSums):
        return merge_online(parts, spec.merging_plans)
    if isinstance(parts, LinearSums):
        return merge_linear(parts)
    if isinstance(parts, ZscoreSums):  # all parts weighed with the same constants
        return ZscoreSums(add_parts(parts.weighted_values), parts.fraction_bits[0])
    return add_parts(parts)
