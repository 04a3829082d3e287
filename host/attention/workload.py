"""What to attend to: integer operands for a batch of requests, from real activations or made up.

A workload is K and V of a batch of requests and one query per head, request and step. Real queries are spread over the
batch: every request of the batch holds the same context and decodes its share of the query positions.

Owns how large the operands are: as large as the accumulators are proven for (K-1).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dpu_kernels.attention import Accumulation, DTypeName, Exponential, Norm

from .host_memory import check_host_memory
from .masks import alibi_slopes
from .operands import operand_dtype, operand_type
from .quantise import Quantised, quantise
from .ranges import OperandLimits, operand_limits
from .samples import RealOperands
from .spec import AttentionSpec

__all__ = [
    "Biases",
    "Data",
    "HeadShape",
    "Method",
    "Origin",
    "Workload",
    "real_workload",
    "synthetic_spec",
    "synthetic_workload",
]

Integers = NDArray[np.signedinteger[Any]]
Data = Literal["ones", "random"]
Biases = Literal["none", "alibi"]
LogitScales = Callable[[OperandLimits], tuple[float, ...]]
"""c of every head, or one for all, when operands reach these limits."""
SYNTHETIC_LOGIT_DEVIATION = 2.0  # of random operands' logits: a softmax that is neither uniform nor one-hot


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Origin:
    """The real tensors behind a workload and their quantised form, [heads, ...]; `scale` is 1/sqrt(dim)."""

    real: RealOperands
    q: Quantised
    k: Quantised
    v: Quantised
    scale: float


class HeadShape(NamedTuple):
    """Sizes of a request: query heads, heads of K and V, elements of a head, tokens at most."""

    heads: int
    kv_heads: int
    dim: int
    max_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """How to attend, before the sizes are known; the meaning of all but `biases` is that of AttentionSpec.

    biases: "alibi" takes the published slopes for the number of heads.

    Raises ValueError for biases on wrapping accumulators.
    """

    dtype: DTypeName
    norm: Norm
    acc: Accumulation = "wide"
    exponential: Exponential = "lut256_lerp"
    window: int | None = None
    biases: Biases = "none"

    def __post_init__(self) -> None:
        if self.biases == "alibi" and self.acc == "wrap":
            raise ValueError("ALiBi needs acc='wide': a bias means nothing to a score that has lost its size")

    def largest_spec(self, shape: HeadShape, logit_scales: LogitScales) -> AttentionSpec:
        """What to compute, with the largest operands that are proven to overflow no accumulator (K-1).

        ALiBi takes room too, and its biases grow with the operands: they count units of score, and larger integers make
        the unit smaller. Of the limits with which operands and their own biases fit, these are the greatest; q, K and V
        have the same one, up to what their type holds.

        Raises AccumulatorOverflow when not even operands of 1 fit, ValueError for what AttentionSpec refuses.
        """
        most = self.limits(dim=shape.dim, max_tokens=shape.max_tokens)

        def spec(largest: int) -> AttentionSpec:
            limits = OperandLimits(q=max(1, min(most.q, largest)), kv=max(1, min(most.kv, largest)))
            return self.spec(**shape._asdict(), limits=limits, logit_scales=logit_scales(limits))

        def overflows(largest: int) -> bool:
            try:
                spec(largest)
            except ValueError:  # AccumulatorOverflow, or a bias of more than 2**61
                return True
            return False

        largest = max(most)
        if self.biases == "alibi":
            largest = bisect_right(range(1, largest + 1), False, key=overflows)
        return spec(largest)

    def limits(self, *, dim: int, max_tokens: int) -> OperandLimits:
        """Greatest magnitudes of operands without biases. 0: not even operands of 1 fit."""
        return operand_limits(dtype=self.dtype, norm=self.norm, acc=self.acc, dim=dim, max_tokens=max_tokens)

    def spec(
        self,
        *,
        heads: int,
        kv_heads: int,
        dim: int,
        max_tokens: int,
        limits: OperandLimits,
        logit_scales: tuple[float, ...],
    ) -> AttentionSpec:
        """What to compute with operands up to `limits`. Raises as AttentionSpec does."""
        return AttentionSpec(
            heads=heads,
            kv_heads=kv_heads,
            dim=dim,
            max_tokens=max_tokens,
            dtype=self.dtype,
            norm=self.norm,
            acc=self.acc,
            q_max=limits.q,
            kv_max=limits.kv,
            logit_scales=logit_scales,
            exponential=self.exponential,
            window=self.window,
            alibi_slopes=tuple(alibi_slopes(heads).tolist()) if self.biases == "alibi" else (),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Workload:
    """Integer operands: queries [steps, batch, heads, dim], k and v [batch, kv_heads, tokens, dim].

    spec: what is computed with them. origin: None for made-up integers.
    """

    spec: AttentionSpec
    queries: Integers
    k: Integers
    v: Integers
    origin: Origin | None

    @property
    def batch(self) -> int:
        """Requests that decode at the same time."""
        return self.k.shape[0]

    @property
    def tokens(self) -> int:
        """Tokens of context."""
        return self.k.shape[2]

    def repeated(self, batch: int) -> Workload:
        """The first request `batch` times, in the memory of one: operands are read-only views."""
        queries, k, v = self.queries[:, :1], self.k[:1], self.v[:1]
        return replace(
            self,
            queries=np.broadcast_to(queries, (len(queries), batch, *queries.shape[2:])),
            k=np.broadcast_to(k, (batch, *k.shape[1:])),
            v=np.broadcast_to(v, (batch, *v.shape[1:])),
        )


def real_workload(real: RealOperands, method: Method, *, batch: int) -> Workload:
    """Quantise real heads and spread their query positions over `batch` requests.

    Positions that do not fill the last step are made up by repeating the last one.
    Raises ValueError for acc="wrap", whose outputs have no real meaning, and for what `quantise` refuses.
    """
    if method.acc == "wrap":
        raise ValueError("real tensors need acc='wide': a wrapped output has lost its size")
    heads, positions, dim = real.q.shape
    kv_heads, tokens, _ = real.k.shape
    dtype, scale = operand_dtype(method.dtype), 1 / math.sqrt(dim)

    def logit_scales(limits: OperandLimits) -> tuple[float, ...]:
        # A head's quantisation scale depends on its greatest magnitude only.
        of_q, of_k = (
            quantise(np.abs(x).max(axis=(1, 2), keepdims=True), dtype=dtype, limit=limit).scale
            for x, limit in ((real.q, limits.q), (real.k, limits.kv))
        )
        return tuple((of_q * of_k.repeat(heads // kv_heads) * scale).tolist())

    spec = method.largest_spec(HeadShape(heads, kv_heads, dim, tokens), logit_scales)
    q = quantise(real.q, dtype=dtype, limit=spec.q_max)
    k, v = (quantise(x, dtype=dtype, limit=spec.kv_max) for x in (real.k, real.v))
    steps = -(-positions // batch)
    order = np.minimum(np.arange(steps * batch), positions - 1)
    return Workload(
        spec=spec,
        queries=q.values[:, order].reshape(heads, steps, batch, dim).transpose(1, 2, 0, 3),
        k=np.broadcast_to(k.values, (batch, *k.values.shape)),
        v=np.broadcast_to(v.values, (batch, *v.values.shape)),
        origin=Origin(real=real, q=q, k=k, v=v, scale=scale),
    )


def synthetic_spec(method: Method, shape: HeadShape) -> AttentionSpec:
    """What to compute with random operands that are as large as the accumulators allow."""
    return method.largest_spec(shape, partial(_uniform_scales, shape.dim))


def _uniform_scales(dim: int, limits: OperandLimits) -> tuple[float, ...]:
    deviation = math.sqrt(dim) * limits.q * limits.kv / 3  # of a score of uniform operands
    return (SYNTHETIC_LOGIT_DEVIATION / deviation,)


def synthetic_workload(
    method: Method, *, batch: int, heads: int, kv_heads: int | None = None, tokens: int, dim: int, data: Data, seed: int
) -> Workload:
    """One step of integers: all 1, or uniform over what the accumulators allow (for acc="wrap" over the whole type).

    kv_heads: default as many as heads.
    """
    operands, kv_heads = operand_type(method.dtype), heads if kv_heads is None else kv_heads
    operand_bytes = batch * (2 * kv_heads * tokens + heads) * dim * operands.dtype.itemsize
    check_host_memory(
        2 * operand_bytes,
        what=f"operands of {operand_bytes:,} bytes, in host and DPU memory,",
        mend="use fewer requests, heads or tokens",
    )
    shape = HeadShape(heads, kv_heads, dim, tokens)

    q_shape, kv_shape = (1, batch, heads, dim), (batch, kv_heads, tokens, dim)
    if data == "ones":
        unit = OperandLimits(1, 1)
        spec = method.spec(**shape._asdict(), limits=unit, logit_scales=_uniform_scales(dim, unit))
        queries, k, v = (np.ones(each, operands.dtype) for each in (q_shape, kv_shape, kv_shape))
        return Workload(spec=spec, queries=queries, k=k, v=v, origin=None)
    spec = synthetic_spec(method, shape)
    generator, wraps = np.random.default_rng(seed), method.acc == "wrap"
    queries = _uniform(generator, q_shape, operands.q_min if wraps else -spec.q_max, spec.q_max, operands.dtype)
    k, v = (
        _uniform(generator, kv_shape, operands.kv_min if wraps else -spec.kv_max, spec.kv_max, operands.dtype)
        for _ in range(2)
    )
    return Workload(spec=spec, queries=queries, k=k, v=v, origin=None)


def _uniform(
    generator: np.random.Generator, shape: tuple[int, ...], lowest: int, highest: int, dtype: np.dtype[Any]
) -> Integers:
    values: Integers = generator.integers(lowest, highest, shape, dtype, endpoint=True)
    return values
