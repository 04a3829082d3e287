"""How good a selection is: what it keeps, how far the outputs are from dense attention, what it reads and computes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .accuracy import dense_outputs, relative_error
from .head import attention_macs, kv_token_bytes
from .inputs import QueryStream
from .kv_pruning import kv_pruning
from .locality import overlap
from .recompute import Recompute, attend
from .scores import AnalogFormat
from .selection import Selection

__all__ = ["DenseReference", "Quality", "dense_reference", "measure"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DenseReference:
    """A stream and dense attention over it, to compare selections with.

    outputs: float64 [heads, queries, dim] in units of the integer values. bytes_per_query, macs_per_query: of a query
    that reads and multiplies every row of K and V.
    """

    stream: QueryStream
    outputs: NDArray[np.float64]
    bytes_per_query: int
    macs_per_query: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """A selection against dense attention over the same integers; means are over all heads and queries.

    kept_fraction: of tokens. lost_queries: queries that keep none; their output is 0.
    pruned_mass: pi, mean softmax weight of pruned tokens, by exact scores.
    error, bound: root mean square of |outputs - dense| and of its bound (B-6, and B-5 and B-3 where they have a share),
        both over that of the dense outputs, in real units. largest_share: of an error in its own bound; above 1 the
        bound would be wrong.
    bytes_per_query, macs_per_query, comparisons_per_query: of decision and attention, nothing reused between queries;
        multiply-accumulates of two int8. read_fraction: of the bytes of dense attention.
    overlap: share of kept tokens that the query before kept too; NaN for a single query.
    loaded_fraction: of tokens, that a query loads when a buffer has those of the query before.
    """

    kept_fraction: float
    lost_queries: int
    pruned_mass: float
    error: float
    bound: float
    largest_share: float
    bytes_per_query: float
    read_fraction: float
    macs_per_query: float
    comparisons_per_query: float
    overlap: float
    loaded_fraction: float


def dense_reference(stream: QueryStream) -> DenseReference:
    """Dense attention over a stream. Raises ValueError for one with padding, whose rows mean nothing."""
    if stream.valid < stream.tokens:
        raise ValueError(f"{stream.tokens - stream.valid} tokens of padding: measure stream.unpadded instead.")
    return DenseReference(
        stream=stream,
        outputs=dense_outputs(stream.queries, stream.keys, stream.values, logit_scale=stream.logit_scales),
        bytes_per_query=stream.tokens * kv_token_bytes(stream.dim),
        macs_per_query=attention_macs(stream.dim, stream.tokens),
    )


def measure(
    selection: Selection,
    reference: DenseReference,
    *,
    recompute: Recompute = "exact",
    analog: AnalogFormat | None = None,
) -> Quality:
    """Attend to what is kept, as the integer kernel does, and compare.

    recompute, analog: as `recompute.attend`. Raises as that does.
    """
    stream, keep = reference.stream, selection.keep
    attended = attend(
        stream.queries,
        stream.keys,
        stream.values,
        keep,
        logit_scale=stream.logit_scales,
        recompute=recompute,
        analog=analog,
    )
    error = np.abs(attended.outputs - reference.outputs)
    return Quality(
        kept_fraction=selection.kept_fraction,
        lost_queries=int(np.count_nonzero(selection.kept == 0)),
        pruned_mass=float(attended.pruned_mass.mean()),
        error=relative_error(error, reference.outputs, value_scales=stream.value_scales),
        bound=relative_error(attended.bound, reference.outputs, value_scales=stream.value_scales),
        largest_share=float(np.divide(error, attended.bound, out=np.zeros_like(error), where=error > 0).max()),
        bytes_per_query=float(selection.bytes.mean()),
        read_fraction=float(selection.bytes.mean()) / reference.bytes_per_query,
        macs_per_query=float(selection.operations.mean()),
        comparisons_per_query=float((selection.decision.comparisons + selection.attention.comparisons).mean()),
        overlap=_overall_overlap(keep),
        loaded_fraction=float(kv_pruning(keep, capacity_tokens=None).load),
    )


def _overall_overlap(keep: NDArray[np.bool_]) -> float:
    """`locality.overlap` of all heads together: each counts as often as it keeps a token."""
    kept = np.count_nonzero(keep[..., 1:, :], axis=(-2, -1))
    shared = np.where(kept > 0, overlap(keep), 0.0) * kept
    return float(shared.sum() / kept.sum()) if kept.any() else float("nan")
