"""What to attend to: integer operands for a batch of requests, from real activations or made up.

A workload is K and V of batch x heads DPUs and one query per DPU and step. Real queries are spread over the batch:
every request of the batch holds the same context and decodes its share of the query positions.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dpu_kernels.attention import Accumulation, DTypeName, Exponential, Norm

from .masks import alibi_slopes
from .operands import operand_dtype, operand_type
from .quantise import Quantised, quantise
from .ranges import OperandLimits, operand_limits
from .samples import RealOperands
from .spec import AttentionSpec

__all__ = ["Biases", "Data", "Method", "Origin", "Workload", "real_workload", "synthetic_workload"]

Integers = NDArray[np.signedinteger[Any]]
Data = Literal["ones", "random"]
Biases = Literal["none", "alibi"]
SYNTHETIC_LOGIT_DEVIATION = 2.0  # of random operands' logits: a softmax that is neither uniform nor one-hot


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Origin:
    """The real tensors behind a workload and their quantised form, [heads, ...]; `scale` is 1/sqrt(dim)."""

    real: RealOperands
    q: Quantised
    k: Quantised
    v: Quantised
    scale: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """How to attend, before the sizes are known; the meaning of all but `biases` is that of AttentionSpec.

    biases: "alibi" takes the published slopes for the number of heads.
    """

    dtype: DTypeName
    norm: Norm
    acc: Accumulation = "wide"
    exponential: Exponential = "lut256_lerp"
    window: int | None = None
    biases: Biases = "none"

    def limits(self, *, dim: int, max_tokens: int) -> OperandLimits:
        """Magnitudes to quantise to. A bias is given a bit of the scores, which it takes from the operands."""
        limits = operand_limits(dtype=self.dtype, norm=self.norm, acc=self.acc, dim=dim, max_tokens=max_tokens)
        return OperandLimits(limits.q // 2, limits.kv) if self.biases == "alibi" else limits

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
        """What to compute for these sizes, with operands up to `limits`."""
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



def real_workload(real: RealOperands, method: Method, *, batch: int) -> Workload:
    """Quantise real heads and spread their query positions over `batch` requests.

    Positions that do not fill the last step are made up by repeating the last one.
    Raises ValueError for acc="wrap", whose outputs have no real meaning, and for what `quantise` refuses.
    """
    if method.acc == "wrap":
        raise ValueError("real tensors need acc='wide': a wrapped output has lost its size")
    heads, positions, dim = real.q.shape
    kv_heads, tokens, _ = real.k.shape
    limits = method.limits(dim=dim, max_tokens=tokens)
    dtype = operand_dtype(method.dtype)
    q = quantise(real.q, dtype=dtype, limit=limits.q)
    k, v = (quantise(x, dtype=dtype, limit=limits.kv) for x in (real.k, real.v))
    scale = 1 / math.sqrt(dim)
    steps = -(-positions // batch)
    order = np.minimum(np.arange(steps * batch), positions - 1)
    logit_scales = q.scale * k.scale.repeat(heads // kv_heads, axis=0) * scale
    return Workload(
        spec=method.spec(
            heads=heads,
            kv_heads=kv_heads,
            dim=dim,
            max_tokens=tokens,
            limits=limits,
            logit_scales=tuple(logit_scales.reshape(heads).tolist()),
        ),
        queries=q.values[:, order].reshape(heads, steps, batch, dim).transpose(1, 2, 0, 3),
        k=np.broadcast_to(k.values, (batch, *k.values.shape)),
        v=np.broadcast_to(v.values, (batch, *v.values.shape)),
        origin=Origin(real=real, q=q, k=k, v=v, scale=scale),
    )


def synthetic_workload(
    method: Method, *, batch: int, heads: int, kv_heads: int | None = None, tokens: int, dim: int, data: Data, seed: int
) -> Workload:
    """One step of integers: all 1, or uniform over what the accumulators allow (for acc="wrap" over the whole type).

    kv_heads: default as many as heads.
    """
    operands, kv_heads = operand_type(method.dtype), heads if kv_heads is None else kv_heads
    _check_host_memory(batch * (2 * kv_heads * tokens + heads) * dim * operands.dtype.itemsize)
    limits = OperandLimits(1, 1) if data == "ones" else method.limits(dim=dim, max_tokens=tokens)
    q_shape, kv_shape = (1, batch, heads, dim), (batch, kv_heads, tokens, dim)
    if data == "ones":
        queries, k, v = (np.ones(shape, operands.dtype) for shape in (q_shape, kv_shape, kv_shape))
    else:
        generator, wraps = np.random.default_rng(seed), method.acc == "wrap"
        queries = _uniform(generator, q_shape, operands.q_min if wraps else -limits.q, limits.q, operands.dtype)
        k, v = (
            _uniform(generator, kv_shape, operands.kv_min if wraps else -limits.kv, limits.kv, operands.dtype)
            for _ in range(2)
        )
    deviation = math.sqrt(dim) * limits.q * limits.kv / 3  # of a score of uniform operands
    spec = method.spec(
        heads=heads,
        kv_heads=kv_heads,
        dim=dim,
        max_tokens=tokens,
        limits=limits,
        logit_scales=(SYNTHETIC_LOGIT_DEVIATION / deviation,),
    )
    return Workload(spec=spec, queries=queries, k=k, v=v, origin=None)


def _uniform(
    generator: np.random.Generator, shape: tuple[int, ...], lowest: int, highest: int, dtype: np.dtype[Any]
) -> Integers:
    values: Integers = generator.integers(lowest, highest, shape, dtype, endpoint=True)
    return values


def _check_host_memory(operand_bytes: int) -> None:
    """Operands are in memory twice, on the host and in the DPUs: refuse what this computer cannot hold."""
    there_is = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if 2 * operand_bytes > there_is:
        raise ValueError(
            f"operands of {operand_bytes:,} bytes, in host and DPU memory, exceed the {there_is:,} bytes of this "
            "computer: use fewer requests, heads or tokens"
        )
