"""Who multiplies and attends: what a decoder needs of banks, and the same in NumPy as their reference (S2-9)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from host.attention.integer_math import matmul
from host.attention.reference import attention_softmax
from host.attention.spec import AttentionSpec
from host.attention.sums import SoftmaxSums

from .fixed_point import CACHED, HEAD, KvBits
from .model import ModelConfig
from .weights import DecoderWeights, MatrixKey

__all__ = ["Accumulators", "Engine", "NumpyEngine", "Vectors", "attention_spec", "joined"]

Vectors = NDArray[np.int8]
Accumulators = NDArray[np.int64]


class Engine(Protocol):
    """Holds the weights and the caches of K and V. All results are exact integers."""

    def multiply(self, keys: Sequence[MatrixKey], vectors: Vectors) -> list[Accumulators]:
        """The products [n, outputs] of vectors [n, inputs] with matrices that take the same inputs, in order."""

    def attend(self, layer: int, q: Vectors, k: Vectors, v: Vectors) -> SoftmaxSums:
        """Cache k, v [n, kv_heads, dim] of n new tokens, and answer q [n, heads, dim]: sums [n, heads, ...].

        Token i sees the cached ones and the new ones up to itself (causal).
        """

    def forget(self) -> None:
        """Empty the caches."""

    @property
    def kv_bits(self) -> KvBits:
        """Bits of an element of the caches."""


def attention_spec(model: ModelConfig, kv_bits: KvBits) -> AttentionSpec:
    """The attention of a layer: int8 queries, softmax weights in Q24 (K-6), logits divided by sqrt(dim).

    Raises AccumulatorOverflow for heads so long that sums cannot be proven to fit, ValueError for other bits.
    """
    if kv_bits not in CACHED:
        raise ValueError(f"kv_bits = {kv_bits!r}: choose one of {', '.join(map(str, CACHED))}")
    return AttentionSpec(
        heads=model.heads,
        kv_heads=model.kv_heads,
        dim=model.dim,
        max_tokens=model.max_tokens,
        dtype="int4" if kv_bits == 4 else "int8",
        norm="softmax",
        q_max=128,
        kv_max=1 << kv_bits - 1,
        logit_scales=(HEAD.scale * CACHED[kv_bits].scale / model.dim**0.5,),
    )


class NumpyEngine:
    """The reference: exact products and sums on this computer."""

    def __init__(self, weights: DecoderWeights, *, kv_bits: KvBits = 8) -> None:
        self._weights, self.kv_bits = weights, kv_bits
        self._spec = attention_spec(weights.model, kv_bits)
        self._cached: list[tuple[Vectors, Vectors]] = []
        self.forget()

    def multiply(self, keys: Sequence[MatrixKey], vectors: Vectors) -> list[Accumulators]:
        """As `Engine` says."""
        return [matmul(vectors, self._weights.matrices[key].values.T) for key in keys]

    def attend(self, layer: int, q: Vectors, k: Vectors, v: Vectors) -> SoftmaxSums:
        """As `Engine` says."""
        older = len(self._cached[layer][0])
        keys, values = (np.concatenate(pair) for pair in zip(self._cached[layer], (k, v), strict=True))
        self._cached[layer] = keys, values
        answers = [self._answer(one, keys[:end], values[:end]) for end, one in enumerate(q, start=older + 1)]
        return joined(answers)

    def forget(self) -> None:
        """As `Engine` says."""
        model = self._weights.model
        empty = np.empty((0, model.kv_heads, model.dim), np.int8)
        self._cached = [(empty, empty)] * model.layers

    def _answer(self, q: Vectors, keys: Vectors, values: Vectors) -> SoftmaxSums:
        """Sums [heads, ...] of q [heads, dim] over keys, values [tokens, kv_heads, dim]."""
        spec = self._spec
        k, v = (rows.swapaxes(0, 1)[:, None] for rows in (keys, values))
        sums = attention_softmax(q.reshape(spec.kv_heads, spec.queries, spec.dim), k, v, spec.plans[0])
        flat: list[NDArray[Any]] = [part.reshape(spec.heads, *part.shape[2:]) for part in sums]
        return SoftmaxSums(*flat)


def joined(answers: Sequence[SoftmaxSums]) -> SoftmaxSums:
    """The sums of several tokens [heads, ...] as one record [n, heads, ...]."""
    stacked: list[NDArray[Any]] = [np.stack(parts) for parts in zip(*answers, strict=True)]
    return SoftmaxSums(*stacked)
