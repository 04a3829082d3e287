"""One stream of queries through the whole of SPRINT: selection, accuracy, and three ways to use the same chip.

Joins what the pipeline decides with what the chip makes of it. Padding is in the baseline alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .accelerator import Accelerator, AttentionRun
from .accuracy import dense_outputs, relative_error
from .inputs import QueryStream
from .padding import MovementMode
from .pruning import InMemoryPruning
from .recompute import Recompute, SparseAttention, attend
from .scores import exact_scores
from .selection import Selection

__all__ = ["Outcome", "sprint_experiment"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outcome:
    """What came out; stream and selection are without padding.

    attention: over the survivors, with its bound. error: of its outputs against dense attention, float64 [heads,
    queries, dim], in units of the values. dense: these outputs. lost: tokens with a score at the threshold or above
    that were pruned. runs: on the chip, by mode; the two dense ones are of one head.
    """

    stream: QueryStream
    selection: Selection
    attention: SparseAttention
    dense: NDArray[np.float64]
    lost: int
    runs: dict[MovementMode, AttentionRun]

    @property
    def error(self) -> NDArray[np.float64]:
        """|outputs - dense|, float64 [heads, queries, dim]."""
        difference: NDArray[np.float64] = np.abs(self.attention.outputs - self.dense)
        return difference

    @property
    def relative_error(self) -> float:
        """`accuracy.relative_error` of the outputs, in real units."""
        return relative_error(self.error, self.dense, value_scales=self.stream.value_scales)


def sprint_experiment(
    stream: QueryStream, pruning: InMemoryPruning, accelerator: Accelerator, *, recompute: Recompute = "exact"
) -> Outcome:
    """Prune, attend, and run on the chip; thresholds are those of the valid queries.

    Raises TypeError and ValueError as `InMemoryPruning.select`, `attend` and `Accelerator.run`.
    """
    valid = stream.unpadded
    selection = pruning.select(valid.queries, valid.keys)
    exact = exact_scores(valid.queries, valid.keys)
    theta = np.broadcast_to(np.asarray(pruning.theta, dtype=np.float64), exact.shape[:-1])
    sizes = {"baseline": (stream.queries.shape[1], stream.tokens), "mask_only": (valid.queries.shape[1], valid.tokens)}
    dense = {size: accelerator.dense(*size) for size in dict.fromkeys(sizes.values())}
    return Outcome(
        stream=valid,
        selection=selection,
        attention=attend(
            valid.queries,
            valid.keys,
            valid.values,
            selection.keep,
            logit_scale=valid.logit_scales,
            recompute=recompute,
            analog=pruning.thresholder.analog,
        ),
        dense=dense_outputs(valid.queries, valid.keys, valid.values, logit_scale=valid.logit_scales),
        lost=int(np.count_nonzero((exact >= theta[..., None]) & ~selection.keep)),
        runs={
            "baseline": dense[sizes["baseline"]],
            "mask_only": dense[sizes["mask_only"]],
            "sprint": accelerator.run(selection.keep),
        },
    )
