"""DMAs of one launch on one DPU, from shapes alone: dense attention (S0-11, S0-15) and pruned attention (S4-13).

Counted exactly: what the counters of either engine say, for every number of tasklets. Online softmax and z-scores by
linearity are not here, nor the two launches of z-scores over a split head.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from dpu_kernels.attention import GROUP, output_kind, padded, score_kind
from dpu_kernels.pruning import PrunedNorm, decision_rows_at_once, nibble_row_bytes
from pim_runtime.device.mram import MAX_DMA_BYTES

from .layout import Paging
from .spec import AttentionSpec

__all__ = ["Dmas", "KernelTraffic", "dense_traffic", "pruned_traffic"]

TABLE_ENTRY_BYTES = 8


class Dmas(NamedTuple):
    """How many DMAs between MRAM and WRAM, in both directions, and their bytes."""

    transfers: int
    nbytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelTraffic:
    """DMAs by what they move.

    queries: with levels and thresholds of pruning. nibbles: packed upper halves of K. kept: bits of kept tokens.
    keys, values: rows. scores: scores and weights. sums: partial sums, outputs, statistics. blocks: entries of block
    tables.
    """

    queries: Dmas
    nibbles: Dmas
    kept: Dmas
    keys: Dmas
    values: Dmas
    scores: Dmas
    sums: Dmas
    blocks: Dmas

    @property
    def total(self) -> Dmas:
        """All of them."""
        parts = [getattr(self, field.name) for field in fields(self)]
        return Dmas(*(sum(numbers) for numbers in zip(*parts, strict=True)))


def dense_traffic(
    spec: AttentionSpec, *, first: int, end: int, workers: int, columns: int, paging: Paging = "contiguous"
) -> KernelTraffic:
    """Attention to the local tokens [first, end). columns: of V in one pass (`plan_wram`).

    Raises ValueError for norms other than softmax, div_d and zscore.
    """
    _check(spec)
    shape, tokens = _Shape.of(spec, columns), end - first
    groups = max(0, -(-end // GROUP) - first // GROUP)
    group_bytes = spec.queries * shape.score_group_bytes
    # Accesses of a group to weigh its scores: by query, or of all at once.
    normalised = {"softmax": 2 * spec.queries, "zscore": 3 * spec.queries, "div_d": 2}[spec.norm]
    normalised_bytes = group_bytes if spec.norm == "div_d" else shape.score_group_bytes
    return KernelTraffic(
        queries=_queries(spec, shape, workers),
        nibbles=Dmas(0, 0),
        kept=Dmas(0, 0),
        keys=Dmas(tokens, tokens * shape.row_bytes),
        values=Dmas(tokens * shape.passes, tokens * shape.row_bytes),
        scores=Dmas(
            groups * (1 + normalised + shape.passes),
            groups * (group_bytes * (1 + shape.passes) + normalised * normalised_bytes),
        ),
        sums=_sums(spec, shape, workers),
        blocks=_blocks(paging, groups * (1 + shape.passes)),
    )


def pruned_traffic(
    spec: AttentionSpec,
    kept: NDArray[np.bool_],
    *,
    first: int,
    workers: int,
    columns: int,
    paging: Paging = "contiguous",
) -> KernelTraffic:
    """Attention to the tokens of kept [queries, end], bool by local token; none before `first` is kept.

    Rows that any query keeps move once; the packed halves of all tokens from `first` on do too (S4-13).
    Raises ValueError for norms other than softmax, div_d and zscore, or a mask that keeps what cannot be seen.
    """
    _check(spec)
    end = kept.shape[1]
    if kept.shape[0] != spec.queries or kept[:, :first].any():
        raise ValueError(f"kept {kept.shape} from token {first} on: one row per query of {spec.queries}, none before")
    shape, first_group = _Shape.of(spec, columns), first // GROUP
    groups = np.arange(first_group, max(first_group, -(-end // GROUP)))
    of_group = [(max(first, GROUP * group), min(end, GROUP * (group + 1))) for group in groups.tolist()]
    at_once, nibble_bytes = decision_rows_at_once(spec.dim, MAX_DMA_BYTES), nibble_row_bytes(spec.dim)
    by_any: NDArray[np.bool_] = np.logical_or.reduce(kept, axis=0)
    rows, found = int(by_any.sum()), sum(bool(by_any[slice(*tokens)].any()) for tokens in of_group)
    # A worker has every workers-th group, and stores the scores of a query by eight kept tokens.
    worker_of = (np.arange(end) // GROUP - first_group) % workers
    stored = 0
    for query in range(spec.queries):
        counts: NDArray[np.intp] = np.bincount(worker_of[kept[query]], minlength=workers)
        stored += int((-(-counts // GROUP)).sum())
    accesses = stored * (1 + {"softmax": 2, "zscore": 3, "div_d": 0}[spec.norm] + shape.passes)
    chunks = int(sum(-(-len(groups[worker::workers]) // GROUP) for worker in range(workers))) * (1 + shape.passes)
    queries = _queries(spec, shape, workers)
    return KernelTraffic(
        queries=Dmas(queries.transfers + spec.queries + 1, queries.nbytes + spec.queries * (shape.query_bytes + 8)),
        nibbles=Dmas(sum(-(-(stop - start) // at_once) for start, stop in of_group), (end - first) * nibble_bytes),
        kept=Dmas(chunks, chunks * GROUP * spec.queries),
        keys=Dmas(rows, rows * shape.row_bytes),
        values=Dmas(rows * shape.passes, rows * shape.row_bytes),
        scores=Dmas(accesses, accesses * shape.score_group_bytes),
        sums=_sums(spec, shape, workers),
        blocks=_blocks(paging, len(groups) + found * (1 + shape.passes)),
    )


class _Shape(NamedTuple):
    query_bytes: int
    row_bytes: int
    score_group_bytes: int
    pass_bytes: tuple[int, ...]

    @property
    def passes(self) -> int:
        return len(self.pass_bytes)

    @classmethod
    def of(cls, spec: AttentionSpec, columns: int) -> _Shape:
        kind = spec.storage.kind
        output_bytes = output_kind(kind, spec.acc).itemsize
        widths = [min(columns, spec.dim - column) for column in range(0, spec.dim, columns)]
        return cls(
            query_bytes=padded(spec.dim * kind.itemsize),
            row_bytes=spec.storage.row_bytes(spec.dim),
            score_group_bytes=GROUP * score_kind(kind, spec.acc).itemsize,
            pass_bytes=tuple(padded(width * output_bytes) for width in widths),
        )


def _queries(spec: AttentionSpec, shape: _Shape, workers: int) -> Dmas:
    """One query is read by every worker, several by the master for all."""
    rows = workers if spec.queries == 1 else spec.queries
    return Dmas(rows, rows * shape.query_bytes)


def _sums(spec: AttentionSpec, shape: _Shape, workers: int) -> Dmas:
    """Every worker's are written and read, the output is written, and statistics behind it."""
    statistics = 8 * spec.statistics_length
    rows = spec.queries * (2 * workers + 1)
    return Dmas(
        rows * shape.passes + spec.queries * (statistics > 0), rows * sum(shape.pass_bytes) + spec.queries * statistics
    )


def _blocks(paging: Paging, lookups: int) -> Dmas:
    """A group lies in one block, whose address is looked up once per use."""
    count = lookups if paging == "paged" else 0
    return Dmas(count, count * TABLE_ENTRY_BYTES)


def _check(spec: AttentionSpec) -> None:
    if spec.norm not in get_args(PrunedNorm):
        raise ValueError(f"norm {spec.norm!r}: the closed form is known for {', '.join(get_args(PrunedNorm))}")
