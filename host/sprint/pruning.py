"""SPRINT as a method of selection: thresholds in memory, with a defined answer where they prune everything (S4-2)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .nibbles import OPERAND_BITS
from .scores import approximate_scores
from .selection import Selection, Work, attention_work
from .thresholding import Thresholder

__all__ = ["InMemoryPruning", "WhenAllPruned", "keep_best"]

WhenAllPruned = Literal["keep_best", "keep_none"]
"""What a query keeps whose threshold no token reaches. keep_best: the token of the largest approximate score, the
first of several, so that every output is an average of values. keep_none: nothing, as the comparators say, and its
output is 0."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InMemoryPruning:
    """SPRINT's selection for one threshold, or one per head or query (`Thresholder.prune`).

    theta: in units of the exact score; from a logit or a fraction to keep by `calibration`.

    Raises ValueError for an unknown way to treat queries that lose everything.
    """

    theta: ArrayLike
    thresholder: Thresholder = field(default_factory=Thresholder)
    when_all_pruned: WhenAllPruned = "keep_best"

    def __post_init__(self) -> None:
        if self.when_all_pruned not in get_args(WhenAllPruned):
            choices = ", ".join(get_args(WhenAllPruned))
            raise ValueError(f"when_all_pruned = {self.when_all_pruned!r}: choose one of {choices}.")

    @property
    def name(self) -> str:
        """As tables print it."""
        return "SPRINT"

    def select(self, queries: NDArray[np.int8], keys: NDArray[np.int8]) -> Selection:
        """Tokens whose approximate scores reach the threshold. Raises as `Thresholder.prune`.

        The decision multiplies in memory: what moves is the cut query, in (CopyQ), and the pruning vector, a bit per
        token, out (ReadP).
        """
        analog = self.thresholder.analog
        keep = ~self.thresholder.prune(queries, keys, self.theta)
        if self.when_all_pruned == "keep_best":
            keep = keep_best(keep, approximate_scores(queries, keys, analog))
        tokens, dim = keys.shape[-2:]

        def everywhere(count: int) -> NDArray[np.int64]:
            return np.full(keep.shape[:-1], count, dtype=np.int64)

        decision = Work(
            bit_products=everywhere(tokens * dim * analog.q_bits * analog.msb_bits),
            comparisons=everywhere(tokens),
            read_bytes=everywhere(-(-dim * analog.q_bits // OPERAND_BITS) + -(-tokens // 8)),
        )
        return Selection(
            keep=keep,
            decision=decision,
            attention=attention_work(np.count_nonzero(keep, axis=-1).astype(np.int64), dim=dim),
        )


def keep_best(keep: NDArray[np.bool_], scores: NDArray[np.int64]) -> NDArray[np.bool_]:
    """The mask [..., queries, tokens], where queries of none keep the token of the largest score, the first of them."""
    best = np.arange(scores.shape[-1]) == scores.argmax(axis=-1)[..., None]
    return np.where(keep.any(axis=-1, keepdims=True), keep, best)
