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

from dpu_kernels.attention import Accumulation, Norm

from .operands import operand_dtype
from .quantise import Quantised, quantise
from .ranges import largest_operand
from .samples import RealOperands
from .softmax_plan import SoftmaxPlan, softmax_plan

__all__ = ["Data", "Origin", "Workload", "real_workload", "synthetic_workload"]

Integers = NDArray[np.signedinteger[Any]]
Data = Literal["ones", "random"]
SYNTHETIC_LOGIT_DEVIATION = 2.0  # of random operands' logits: a softmax that is neither uniform nor one-hot


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Origin:
    """The real tensors behind a workload and their quantised form, [heads, ...]; `scale` is 1/sqrt(dim)."""

    real: RealOperands
    q: Quantised
    k: Quantised
    v: Quantised
    scale: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Workload:
    """Integer operands: queries [steps, batch, heads, dim], k and v [batch, heads, tokens, dim].

    limit: greatest magnitude of an operand. logit_scales: real logit per unit of score, one per head.
    plans: one SoftmaxPlan per head, or none for norm "div_d". origin: None for made-up integers.
    """

    norm: Norm
    acc: Accumulation
    limit: int
    queries: Integers
    k: Integers
    v: Integers
    logit_scales: NDArray[np.float64]
    plans: tuple[SoftmaxPlan, ...]
    origin: Origin | None

    @property
    def batch(self) -> int:
        """Requests that decode at the same time."""
        return self.k.shape[0]

    @property
    def heads(self) -> int:
        """Heads of a request."""
        return self.k.shape[1]

    @property
    def tokens(self) -> int:
        """Tokens of context."""
        return self.k.shape[2]

    @property
    def dim(self) -> int:
        """Elements of a head."""
        return self.k.shape[3]


def real_workload(real: RealOperands, *, dtype: Any, norm: Norm, acc: Accumulation, batch: int) -> Workload:
    """Quantise real heads and spread their query positions over `batch` requests.

    Positions that do not fill the last step are made up by repeating the last one.
    Raises ValueError for acc="wrap", whose outputs have no real meaning, and for what `quantise` refuses.
    """
    if acc == "wrap":
        raise ValueError("real tensors need acc='wide': a wrapped output has lost its size")
    heads, positions, dim = real.q.shape
    tokens = real.k.shape[1]
    limit = largest_operand(dtype=dtype, norm=norm, acc=acc, dim=dim, max_tokens=tokens)
    q, k, v = (quantise(x, dtype=dtype, limit=limit) for x in (real.q, real.k, real.v))
    scale = 1 / math.sqrt(dim)
    steps = -(-positions // batch)
    order = np.minimum(np.arange(steps * batch), positions - 1)
    logit_scales = np.asarray(q.scale * k.scale * scale, np.float64).reshape(heads)
    return Workload(
        norm=norm,
        acc=acc,
        limit=limit,
        queries=q.values[:, order].reshape(heads, steps, batch, dim).transpose(1, 2, 0, 3),
        k=np.broadcast_to(k.values, (batch, *k.values.shape)),
        v=np.broadcast_to(v.values, (batch, *v.values.shape)),
        logit_scales=logit_scales,
        plans=_plans(norm, logit_scales, dim * limit * limit),
        origin=Origin(real=real, q=q, k=k, v=v, scale=scale),
    )


def synthetic_workload(
    *,
    batch: int,
    heads: int,
    tokens: int,
    dim: int,
    dtype: Any,
    norm: Norm,
    acc: Accumulation,
    data: Data,
    seed: int,
) -> Workload:
    """One step of integers: all 1, or uniform over what the accumulators allow (for acc="wrap" over the whole type)."""
    resolved = operand_dtype(dtype)
    _check_host_memory(batch * heads * (2 * tokens + 1) * dim * resolved.itemsize)
    limit = 1 if data == "ones" else largest_operand(dtype=resolved, norm=norm, acc=acc, dim=dim, max_tokens=tokens)
    shapes = ((1, batch, heads, dim), (batch, heads, tokens, dim), (batch, heads, tokens, dim))
    if data == "ones":
        queries, k, v = (np.ones(shape, resolved) for shape in shapes)
    else:
        generator = np.random.default_rng(seed)
        lowest = int(np.iinfo(resolved).min) if acc == "wrap" else -limit
        queries, k, v = (generator.integers(lowest, limit, shape, resolved, endpoint=True) for shape in shapes)
    deviation = math.sqrt(dim) * limit * limit / 3  # of a score of uniform operands
    logit_scales = np.full(heads, SYNTHETIC_LOGIT_DEVIATION / deviation)
    return Workload(
        norm=norm,
        acc=acc,
        limit=limit,
        queries=queries,
        k=k,
        v=v,
        logit_scales=logit_scales,
        plans=_plans(norm, logit_scales, dim * limit * limit),
        origin=None,
    )


def _check_host_memory(operand_bytes: int) -> None:
    """Operands are in memory twice, on the host and in the DPUs: refuse what this computer cannot hold."""
    there_is = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if 2 * operand_bytes > there_is:
        raise ValueError(
            f"operands of {operand_bytes:,} bytes, in host and DPU memory, exceed the {there_is:,} bytes of this "
            "computer: use fewer requests, heads or tokens"
        )


def _plans(norm: Norm, logit_scales: NDArray[np.float64], score_bound: int) -> tuple[SoftmaxPlan, ...]:
    if norm == "div_d":
        return ()
    return tuple(softmax_plan(logit_scale=float(scale), score_bound=score_bound) for scale in logit_scales)
