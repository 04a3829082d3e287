"""What attention is computed: heads, operands, norm, masks and biases. One record for every place where it runs.

Owns the checks that need no machine; what a DPU has room for is `layout`'s business.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from dpu_kernels.attention import (
    MAX_QUERIES,
    STATE_LENGTH,
    Accumulation,
    DTypeName,
    Exponential,
    Norm,
    Products,
    Storage,
    products_of,
    storage,
)
from dpu_kernels.pruning import PRUNED_STATE_LENGTH, PrunedNorm

from .exponential import check_exponential
from .integer_math import whole_number
from .masks import alibi_bias
from .operands import OperandType, operand_type
from .ranges import check_ranges
from .selection import TokenSelector
from .softmax_plan import SoftmaxPlan, softmax_plan

__all__ = ["AttentionSpec"]

SIZES = ("heads", "kv_heads", "dim", "max_tokens", "q_max", "kv_max", "probability_bits", "window")
RESCALING_OCTAVES = 30  # sums are rescaled with weights in Q30


@dataclass(frozen=True, kw_only=True)
class AttentionSpec:
    """Decode attention of one model layer: one query per head attends to the cached tokens of its KV head.

    heads, kv_heads: query heads, and heads of K and V; heads / kv_heads query heads share one KV head (GQA, S0-15).
    dim: elements of a head. max_tokens: longest context of a request.
    dtype: "int4", "int8", "int16" or "int32", how K and V are stored; q is int8 with int4.
    norm: "div_d", "zscore", "zscore_linear", "softmax" or "softmax_online". acc: "wrap" computes in the operands' type
    as the published C program does (div_d only), "wide" exactly.
    q_max, kv_max: greatest magnitudes of operands; the accumulators are proven for them (K-1).
    logit_scales: c, real logit per unit of score, one per query head or one for all; for softmax and ALiBi.
    exponential, probability_bits: of softmax (K-6, K-7).
    window: tokens that a query sees at most, itself included; None: all. alibi_slopes: one per query head, or none.
    selector: what decides which of those tokens a query attends to, by a threshold that comes with the query; None:
    all. For int8 operands with exact accumulators, norm "softmax", "div_d" or "zscore", without ALiBi.

    Raises AccumulatorOverflow, ValueError for what does not belong together, TypeError for sizes that are no integers.
    """

    heads: int
    kv_heads: int
    dim: int
    max_tokens: int
    dtype: DTypeName
    norm: Norm
    acc: Accumulation = "wide"
    q_max: int
    kv_max: int
    logit_scales: tuple[float, ...] = ()
    exponential: Exponential = "lut256_lerp"
    probability_bits: int = 24
    window: int | None = None
    alibi_slopes: tuple[float, ...] = ()
    selector: TokenSelector | None = None

    def __post_init__(self) -> None:
        for name in SIZES:
            if getattr(self, name) is not None:  # numpy's integers, which overflow, become Python's
                object.__setattr__(self, name, whole_number(name, getattr(self, name)))
        check_exponential(self.exponential)
        if self.heads < 1 or self.kv_heads < 1 or self.heads % self.kv_heads:
            raise ValueError(f"{self.heads} query heads on {self.kv_heads} KV heads: each KV head serves equally many")
        if self.queries > MAX_QUERIES:
            raise ValueError(
                f"{self.queries} query heads on one KV head: a launch serves at most {MAX_QUERIES}; "
                "give the KV head to several groups of query heads"
            )
        if self.window is not None and self.window < 1:
            raise ValueError(f"window = {self.window}: a query sees at least itself; None sees everything")
        needs_scales = self.is_softmax or bool(self.alibi_slopes)
        if len(self.logit_scales) not in ((1, self.heads) if needs_scales else (0, 1, self.heads)):
            raise ValueError(
                f"{len(self.logit_scales)} logit scales for {self.heads} query heads with norm {self.norm!r}"
                f"{' and ALiBi' if self.alibi_slopes else ''}: give one per head, or one for all"
            )
        if len(self.alibi_slopes) not in (0, self.heads):
            raise ValueError(
                f"{len(self.alibi_slopes)} ALiBi slopes for {self.heads} query heads: one per head, or none"
            )
        self._check_selector()
        check_ranges(
            dtype=self.dtype,
            norm=self.norm,
            acc=self.acc,
            dim=self.dim,
            max_tokens=self.max_tokens,
            q_max=self.q_max,
            k_max=self.kv_max,
            v_max=self.kv_max,
            probability_bits=self.probability_bits,
            bias_max=self.bias_max,
        )

    @property
    def statistics_length(self) -> int:
        """int64 that stand behind the sums of a query."""
        return STATE_LENGTH[self.norm] if self.pruned_norm is None else PRUNED_STATE_LENGTH[self.pruned_norm]

    @property
    def pruned_norm(self) -> PrunedNorm | None:
        """The norm, if there is a selector."""
        if self.selector is None:
            return None
        return next((norm for norm in get_args(PrunedNorm) if norm == self.norm), None)

    @property
    def queries(self) -> int:
        """Query heads that share a KV head."""
        return self.heads // self.kv_heads

    @property
    def is_softmax(self) -> bool:
        """Whether weights are exponentials."""
        return self.norm in ("softmax", "softmax_online")

    @property
    def operands(self) -> OperandType:
        """What q, K and V may hold."""
        return operand_type(self.dtype)

    @property
    def storage(self) -> Storage:
        """How K and V are stored on DPUs."""
        return storage(self.operands.name)

    @property
    def products(self) -> Products:
        """Type of the products of weights and elements of V on DPUs."""
        return products_of(self.storage.kind.bits, self.norm, self.probability_bits)

    @cached_property
    def bias_max(self) -> int:
        """Greatest magnitude of an ALiBi bias."""
        return max((int(-self.biases(head, np.array(self.max_tokens - 1))) for head in self._biased_heads), default=0)

    @cached_property
    def plans(self) -> tuple[SoftmaxPlan, ...]:
        """One plan per query head; none without softmax."""
        return self.merging_plans if self.norm == "softmax_online" else self._plans(self.probability_bits)

    @cached_property
    def merging_plans(self) -> tuple[SoftmaxPlan, ...]:
        """As `plans`, reaching as far as the weights that sums are rescaled with (K-8, M-2)."""
        return self._plans(RESCALING_OCTAVES)

    def logit_scale(self, head: int) -> float:
        """c of a query head."""
        return self.logit_scales[head if len(self.logit_scales) > 1 else 0]

    def biases(self, head: int, distances: NDArray[np.int64]) -> NDArray[np.int64]:
        """ALiBi bias of a query head for each distance, int64; zeros without ALiBi."""
        if not self.alibi_slopes:
            return np.zeros(distances.shape, np.int64)
        return alibi_bias(self.alibi_slopes[head], logit_scale=self.logit_scale(head), distance=distances)

    def check_q(self, shape: tuple[int, ...], **operands: NDArray[Any]) -> None:
        """Raise ValueError unless each operand has this shape, the type of q, and magnitudes that were proven."""
        self._check(shape, self.q_max, operands)

    def check_kv(self, shape: tuple[int, ...], **operands: NDArray[Any]) -> None:
        """As `check_q`, for K and V."""
        self._check(shape, self.kv_max, operands)
        if self.dtype == "int4":
            for name, operand in operands.items():
                if operand.size and not -8 <= operand.min() <= operand.max() <= 7:
                    raise ValueError(f"{name} has values from {operand.min()} to {operand.max()}: int4 holds -8 to 7")

    def _check_selector(self) -> None:
        if self.selector is None:
            return
        if self.dtype != "int8" or self.acc != "wide" or self.pruned_norm is None or self.alibi_slopes:
            biased = " and ALiBi" if self.alibi_slopes else ""
            raise ValueError(
                f"pruning with {self.dtype} operands, norm {self.norm!r}, acc {self.acc!r}{biased}: DPUs prune int8 "
                f"operands with acc 'wide', norm {' or '.join(map(repr, get_args(PrunedNorm)))} and no ALiBi"
            )

    def _check(self, shape: tuple[int, ...], largest: int, operands: dict[str, NDArray[Any]]) -> None:
        dtype = self.operands.dtype
        for name, operand in operands.items():
            if operand.shape != shape or operand.dtype != dtype:
                raise ValueError(f"{name} is {operand.dtype} {operand.shape}, but this set takes {dtype} {shape}")
            found = max(-int(operand.min()), int(operand.max())) if self.acc == "wide" else 0
            if found > largest:
                raise ValueError(f"{name} reaches {found}, but the accumulators were proven for {largest}")

    def _plans(self, octaves: int) -> tuple[SoftmaxPlan, ...]:
        if not self.is_softmax:
            return ()
        bound = self.dim * self.q_max * self.kv_max + self.bias_max
        return tuple(
            softmax_plan(
                logit_scale=self.logit_scale(head),
                score_bound=bound,
                probability_bits=self.probability_bits,
                octaves=octaves,
                exponential=self.exponential,
            )
            for head in range(self.heads)
        )

    @property
    def _biased_heads(self) -> range:
        return range(len(self.alibi_slopes))
