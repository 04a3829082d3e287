"""LeOPArd: keys come bit by bit, and a score stops as soon as it cannot reach the threshold any more (S4-12).

Source: Li et al., "Accelerating Attention through Gradient-Based Learned Runtime Pruning", ISCA 2022. It learns its
thresholds in training; here they are given.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from host.attention.integer_math import matmul, whole_number
from host.sprint.arguments import check_queries_and_keys
from host.sprint.nibbles import OPERAND_BITS
from host.sprint.pruning import WhenAllPruned, keep_best
from host.sprint.selection import Selection, Work
from host.sprint.thresholding import query_thresholds

from .rows import row_work

__all__ = ["Leopard"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Leopard:
    """Keeps the tokens of scores s >= theta, and none else.

    theta: in units of the exact score, a number or an array that broadcasts to [..., queries]; -inf keeps everything.
    bits_per_step: bits of K that a step brings, 1, 2, 4 or 8; a comparison follows each step.
    when_all_pruned: keep_best is an addition to LeOPArd, with which it can be compared with SPRINT's: a query that has
    given up every token takes one of the last ones, that of the largest bound then, and reads the rest of it.

    Raises ValueError for other bits or an unknown way, TypeError for bits that are no integer.
    """

    theta: ArrayLike
    bits_per_step: int = 1
    when_all_pruned: WhenAllPruned = "keep_none"
    name: str = "LeOPArd"

    def __post_init__(self) -> None:
        bits = whole_number("bits_per_step", self.bits_per_step)
        object.__setattr__(self, "bits_per_step", bits)
        if bits < 1 or OPERAND_BITS % bits:
            raise ValueError(f"bits_per_step = {bits}: choose 1, 2, 4 or 8, which divide the {OPERAND_BITS} of a key.")
        if self.when_all_pruned not in get_args(WhenAllPruned):
            choices = ", ".join(get_args(WhenAllPruned))
            raise ValueError(f"when_all_pruned = {self.when_all_pruned!r}: choose one of {choices}.")

    def planes(self, queries: NDArray[np.int8], keys: NDArray[np.int8]) -> NDArray[np.int64]:
        """Bit planes of K that are read until the score is decided, 1 to 8; int64 [..., queries, tokens].

        queries int8 [..., queries, dim], keys int8 [..., tokens, dim]. Raises TypeError and ValueError for others.
        """
        return self._scan(queries, keys)[1]

    def select(self, queries: NDArray[np.int8], keys: NDArray[np.int8]) -> Selection:
        """As `SelectionMethod.select`; every plane is multiplied with all bits of q.

        Survivors have been read and scored when they are found, so that attention costs their rows of V only.
        Raises TypeError and ValueError for operands or thresholds that do not belong together.
        """
        keep, planes = self._scan(queries, keys)
        dim = keys.shape[-1]
        plane_bytes = -(-dim // 8)
        total = planes.sum(axis=-1)
        decision = Work(
            bit_products=total * dim * OPERAND_BITS,
            comparisons=total // self.bits_per_step,
            read_bytes=total * plane_bytes,
        )
        kept = np.count_nonzero(keep, axis=-1).astype(np.int64)
        return Selection(keep=keep, decision=decision, attention=row_work(kept, dim=dim))

    def _scan(self, queries: NDArray[np.int8], keys: NDArray[np.int8]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Survivors and planes.

        With the p most significant bits of k known, k = known + rest and 0 <= rest <= 2**(8 - p) - 1, also for the
        negative k of two's complement: no score exceeds q.known + (2**(8 - p) - 1) sum max(q_i, 0). This never grows
        with p, and is the score itself at p = 8. So a token whose score reaches theta is never given up, and one whose
        score does not is, at p = 8 at the latest.
        """
        check_queries_and_keys(queries, keys)
        shape = (*np.broadcast_shapes(queries.shape[:-2], keys.shape[:-2]), queries.shape[-2], keys.shape[-2])
        theta = query_thresholds(self.theta, shape[:-1])[..., None]
        reach = np.maximum(queries.astype(np.int64), 0).sum(axis=-1)[..., None]
        alive, planes = np.ones(shape, np.bool_), np.zeros(shape, np.int64)
        last_bound = np.zeros(shape, np.int64)
        for known_bits in range(self.bits_per_step, OPERAND_BITS + 1, self.bits_per_step):
            rest = (1 << (OPERAND_BITS - known_bits)) - 1
            known = keys.astype(np.int16) & np.int16(~rest)
            bound = matmul(queries, np.swapaxes(known, -1, -2)) + rest * reach
            planes += self.bits_per_step * alive
            last_bound = np.where(alive, bound, last_bound)
            alive &= bound >= theta
        if self.when_all_pruned == "keep_best":
            among_last = np.where(planes == planes.max(axis=-1, keepdims=True), last_bound, np.iinfo(np.int64).min)
            alive = keep_best(alive, among_last)
            planes = np.where(alive, OPERAND_BITS, planes)
        return alive, planes
