"""SpAtten: tokens that get little attention are dropped in all later layers, and so are heads that say little (S4-12).

Source: Wang et al., "SpAtten: Efficient Sparse Attention Architecture with Cascade Token and Head Pruning", HPCA 2021.
It drops the queries of pruned tokens too; here every query stays, so that all methods answer the same ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from host.attention.integer_math import whole_number
from host.attention.quantise import align_scale
from host.sprint.arguments import check_queries_and_keys
from host.sprint.nibbles import OPERAND_BITS
from host.sprint.scores import AnalogFormat, approximate_scores, exact_scores
from host.sprint.selection import Selection, Work

from .rows import row_work

__all__ = ["SpAtten"]


class _Layer(NamedTuple):
    """A layer of SpAtten.

    keep: bool [heads, queries, tokens]. probabilities: float64 of that shape, that `keep` was chosen by; 0 for tokens
    and heads that were dropped before. present: tokens that a query of the head looks at, int64 [heads].
    refined: bool [heads, queries], queries that have read all bits of K.
    """

    keep: NDArray[np.bool_]
    probabilities: NDArray[np.float64]
    present: NDArray[np.int64]
    refined: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SpAtten:
    """Keeps, of the tokens that earlier layers have left, those with the largest probabilities of each query.

    logit_scales: c, logit per unit of score, float64 [heads].
    layers: that the heads belong to, in order, equally many to each.
    value_keep: tokens whose row of V a query reads, of all; in (0, 1]. At least one.
    token_keep: tokens that are left for the last layer, of all; layers between have a share between.
    head_keep: as token_keep, for heads. A head that is dropped keeps no token.
    values: [heads, tokens, dim] in units that compare between heads; needed to drop heads, which it does by |output|.
    msb_bits: of K, that are read first, 1 to 8. refine_below: t; a query reads the other bits too and starts again if
        its largest probability is below. 0 never does, 1 always unless a probability is 1.

    Raises ValueError, or TypeError for counts that are no integers.
    """

    logit_scales: NDArray[np.float64]
    layers: int = 1
    value_keep: float = 1.0
    token_keep: float = 1.0
    head_keep: float = 1.0
    values: NDArray[Any] | None = None
    msb_bits: int = 4
    refine_below: float = 0.1
    name: str = "SpAtten"

    def __post_init__(self) -> None:
        for name in ("layers", "msb_bits"):
            object.__setattr__(self, name, whole_number(name, getattr(self, name)))
        for name in ("value_keep", "token_keep", "head_keep"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} = {getattr(self, name)}: a share above 0, and 1 at most.")
        if not 0 <= self.refine_below <= 1:
            raise ValueError(f"refine_below = {self.refine_below}: a probability, 0 to 1, such as 0.1.")
        if not 1 <= self.msb_bits <= OPERAND_BITS:
            raise ValueError(
                f"msb_bits = {self.msb_bits}: choose 1 to {OPERAND_BITS}; {OPERAND_BITS} reads all at once."
            )
        if self.layers < 1:
            raise ValueError(f"layers = {self.layers}: there is at least 1.")
        if self.head_keep < 1 and self.values is None:
            raise ValueError(
                f"head_keep = {self.head_keep} without values: heads are dropped by their outputs, pass V."
            )

    def select(self, queries: NDArray[np.int8], keys: NDArray[np.int8]) -> Selection:
        """As `SelectionMethod.select`, for queries int8 [heads, queries, dim] and keys int8 [heads, tokens, dim].

        The decision reads the most significant bits of the tokens that are left, and the other bits where it starts
        again; attention reads what is missing of the kept rows of K, and their rows of V. A comparison is counted per
        token for each choice of the largest: a pass of quick-select over them.
        Raises TypeError and ValueError for operands that do not belong together, or not to these heads and layers.
        """
        check_queries_and_keys(queries, keys)
        heads, tokens, dim = self._checked_shape(queries, keys)
        by_layer = heads // self.layers
        importance, head_importance = np.zeros(tokens), np.zeros(by_layer)
        alive, alive_heads = np.ones(tokens, np.bool_), np.ones(by_layer, np.bool_)
        found = []
        for layer in range(self.layers):
            if layer:
                depth = layer / (self.layers - 1)
                alive = _largest(importance, alive, _share(tokens, 1 - depth * (1 - self.token_keep)))
                alive_heads = _largest(head_importance, alive_heads, _share(by_layer, 1 - depth * (1 - self.head_keep)))
            these = slice(layer * by_layer, (layer + 1) * by_layer)
            one = self._layer(queries[these], keys[these], self.logit_scales[these], alive & alive_heads[:, None])
            importance += one.probabilities.sum(axis=(0, 1))
            if self.values is not None:
                outputs = (one.probabilities * one.keep) @ self.values[these].astype(np.float64)
                head_importance += np.abs(outputs).sum(axis=(1, 2))
            found.append(one)
        return self._selection(_Layer(*(np.concatenate(parts) for parts in zip(*found, strict=True))), dim)

    def _layer(
        self,
        queries: NDArray[np.int8],
        keys: NDArray[np.int8],
        logit_scales: NDArray[np.float64],
        alive: NDArray[np.bool_],
    ) -> _Layer:
        """One layer, of whose tokens `alive` [heads, tokens] are left."""
        looked_at = alive[:, None]
        full = _probabilities(exact_scores(queries, keys), logit_scales, looked_at)
        if self.msb_bits == OPERAND_BITS:
            refined, probabilities = np.zeros(full.shape[:-1], np.bool_), full
        else:
            analog = AnalogFormat(msb_bits=self.msb_bits, q_bits=OPERAND_BITS)
            first = _probabilities(approximate_scores(queries, keys, analog), logit_scales, looked_at)
            refined = first.max(axis=-1) < self.refine_below
            probabilities = np.where(refined[..., None], full, first)
        keep = _largest(probabilities, np.broadcast_to(looked_at, full.shape), _share(keys.shape[-2], self.value_keep))
        return _Layer(keep, probabilities, np.count_nonzero(alive, axis=-1).astype(np.int64), refined)

    def _selection(self, found: _Layer, dim: int) -> Selection:
        lsb_bits = OPERAND_BITS - self.msb_bits
        msb_row_bytes, lsb_row_bytes = (-(-dim * bits // 8) for bits in (self.msb_bits, lsb_bits))
        present = np.broadcast_to(found.present[:, None], found.refined.shape)
        kept = np.count_nonzero(found.keep, axis=-1).astype(np.int64)
        refined, missing = present * found.refined, kept * ~found.refined
        decision = Work(
            bit_products=(present * self.msb_bits + refined * lsb_bits) * dim * OPERAND_BITS,
            comparisons=present.copy(),
            read_bytes=present * msb_row_bytes + refined * lsb_row_bytes,
        )
        rest_of_keys = Work(
            bit_products=missing * lsb_bits * dim * OPERAND_BITS,
            comparisons=np.zeros_like(kept),
            read_bytes=missing * lsb_row_bytes,
        )
        return Selection(keep=found.keep, decision=decision, attention=rest_of_keys.plus(row_work(kept, dim=dim)))

    def _checked_shape(self, queries: NDArray[np.int8], keys: NDArray[np.int8]) -> tuple[int, int, int]:
        """Heads, tokens and dim. Raises ValueError for other axes, or other heads than were described."""
        if queries.ndim != 3 or keys.ndim != 3 or len(queries) != len(keys):
            raise ValueError(
                f"queries {queries.shape} and keys {keys.shape}: SpAtten compares heads and layers, so they are "
                "[heads, queries, dim] and [heads, tokens, dim], with K repeated for heads that share it."
            )
        heads, tokens, dim = keys.shape
        if heads % self.layers:
            raise ValueError(f"{heads} heads in {self.layers} layers: every layer has equally many.")
        if self.logit_scales.shape != (heads,):
            raise ValueError(f"logit_scales have shape {self.logit_scales.shape}: there are {heads} heads.")
        if self.values is not None and self.values.shape[:2] != (heads, tokens):
            raise ValueError(f"values have shape {self.values.shape}: there are {heads} heads of {tokens} tokens.")
        return heads, tokens, dim


def _probabilities(
    scores: NDArray[np.int64], logit_scales: NDArray[np.float64], looked_at: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Softmax over the tokens that are looked at, 0 for all others; also where there is none."""
    logits = np.where(looked_at, scores * align_scale(logit_scales, scores.ndim), -np.inf)
    largest = logits.max(axis=-1, keepdims=True)
    weights = np.exp(logits - np.where(np.isfinite(largest), largest, 0.0))
    return weights / np.maximum(weights.sum(axis=-1, keepdims=True), 1.0)


def _largest(values: NDArray[np.float64], among: NDArray[np.bool_], count: int) -> NDArray[np.bool_]:
    """The `count` largest of the last axis among those marked, or all if these are fewer; the first of equal ones."""
    order = np.argsort(np.where(among, -values, np.inf), axis=-1, kind="stable")[..., :count]
    chosen = np.zeros(values.shape, np.bool_)
    np.put_along_axis(chosen, order, True, axis=-1)
    return chosen & among


def _share(count: int, share: float) -> int:
    """So many of `count`, rounded up, 1 at least; what is a whole number but for rounding is that number."""
    return max(1, math.ceil(share * count - 1e-9))
