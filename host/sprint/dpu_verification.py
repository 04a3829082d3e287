"""What DPUs must have left: the tokens that thresholds keep, all bits of the answers, every DMA (C4-03, S4-13)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from host.attention.answers import Answers, merge_parts, rearrange
from host.attention.kernel_traffic import Dmas, dense_traffic, pruned_traffic
from host.attention.reference import div_d
from host.attention.spec import AttentionSpec
from host.attention.sums import ZscoreSums
from host.attention.zscore import z_bits, zscore_constants, zscore_weights

from .dpu_attention import DpuRun, DpuSetup
from .inputs import QueryStream
from .recompute import masked_softmax
from .scores import exact_scores
from .thresholding import Thresholder

__all__ = ["Differences", "answers_over", "arrays_of", "closed_form", "differences", "zscore_over"]


class Differences(NamedTuple):
    """Elements that are not what they must be, and how many were compared.

    kept: decisions, against `Thresholder.prune`. answers: integers, against the references over what was kept.
    dmas: queries whose DMAs or their bytes are not those of the closed form.
    """

    kept: int
    kept_compared: int
    answers: int
    answers_compared: int
    dmas: int
    dmas_compared: int


def differences(
    stream: QueryStream,
    setup: DpuSetup,
    spec: AttentionSpec,
    run: DpuRun,
    *,
    thresholder: Thresholder,
    theta: NDArray[np.float64],
) -> Differences:
    """Compare a run of every query of the stream; theta [heads, n]."""
    pruned = thresholder.prune(stream.queries, stream.keys, theta)
    pairs = list(zip(arrays_of(run.answers), arrays_of(answers_over(stream, setup, spec, run.kept)), strict=True))
    forms = [closed_form(setup, spec, run, query) for query in range(len(run.dmas))]
    counted = list(zip(run.dmas.tolist(), run.dma_bytes.tolist(), strict=True))
    return Differences(
        kept=int(np.count_nonzero(run.kept == pruned)),
        kept_compared=pruned.size,
        answers=sum(int(np.count_nonzero(ours != theirs)) for ours, theirs in pairs),
        answers_compared=sum(theirs.size for _, theirs in pairs),
        dmas=sum(Dmas(*found) != form for found, form in zip(counted, forms, strict=True)),
        dmas_compared=len(forms),
    )


def answers_over(stream: QueryStream, setup: DpuSetup, spec: AttentionSpec, kept: NDArray[np.bool_]) -> Answers:
    """Answers [heads, n, ...] of the integer references over kept [heads, n, tokens], part by part (M-1, M-2)."""
    scores = exact_scores(stream.queries, stream.keys)
    places = setup.partition.over(stream.tokens)
    locals_ = [places.positions(part, stream.tokens) for part in range(setup.partition.parts)]
    parts = [_over_part(stream, spec, scores, kept, local) for local in locals_ if len(local)]
    if spec.norm == "zscore":  # of whole heads
        return rearrange(parts, lambda found: np.swapaxes(found, 0, 1))
    merged = merge_parts(spec, rearrange(parts, lambda *pieces: np.stack(pieces)))
    return rearrange([merged], lambda found: np.swapaxes(found, 0, 1))


def closed_form(setup: DpuSetup, spec: AttentionSpec, run: DpuRun, query: int) -> Dmas:
    """DMAs of all DPUs for one query of every head, from what was kept; of a spec without selector, densely."""
    tokens = run.kept.shape[-1]
    places = setup.partition.over(spec.max_tokens)
    sizes: dict[str, Any] = {
        "workers": setup.nr_tasklets - 1,
        "columns": run.wram.columns,
        "paging": setup.paging,
    }
    found = []
    for part in range(setup.partition.parts):
        local = places.positions(part, tokens)
        for head in range(spec.kv_heads):
            kept = run.kept[head * spec.queries : (head + 1) * spec.queries, query][:, local]
            if spec.selector is None:
                found.append(dense_traffic(spec, first=0, end=len(local), **sizes).total)
            else:
                found.append(pruned_traffic(spec, kept, first=0, **sizes).total)
    return Dmas(*(sum(numbers) for numbers in zip(*found, strict=True)))


def arrays_of(answers: Answers) -> tuple[NDArray[Any], ...]:
    """The arrays of any answer."""
    return (answers,) if isinstance(answers, np.ndarray) else tuple(answers)


def zscore_over(scores: NDArray[np.int64], values: NDArray[np.int8], kept: NDArray[np.bool_]) -> ZscoreSums:
    """z-score sums [n, ...] of scores [n, tokens] over kept tokens, by the reference; all 0 for none (K-5, K-9)."""
    sums, bits = np.zeros((len(scores), values.shape[1]), np.int64), z_bits(kept.sum(axis=-1))
    for query in np.flatnonzero(kept.any(axis=-1)).tolist():
        own = scores[query, kept[query]]
        sums[query] = zscore_weights(own, zscore_constants(own)) @ values[kept[query]].astype(np.int64)
    return ZscoreSums(sums, bits)


def _over_part(
    stream: QueryStream,
    spec: AttentionSpec,
    scores: NDArray[np.int64],
    kept: NDArray[np.bool_],
    local: NDArray[np.int64],
) -> Answers:
    """Arrays [n, heads, ...]."""
    heads: list[Answers] = []
    for head in range(stream.heads):
        own, values, mask = scores[head][:, local], stream.values[head][local], kept[head][:, local]
        if spec.norm == "div_d":
            heads.append(np.where(mask, div_d(own, stream.dim), 0) @ values.astype(np.int64))
        elif spec.norm == "zscore":
            heads.append(zscore_over(own, values, mask))
        else:
            heads.append(masked_softmax(own, values, mask, spec.plans[head]))
    return rearrange(heads, lambda *pieces: np.stack(pieces, axis=1))
