"""Compares what the DPUs computed with the integer reference, bit for bit, and with float64, against proven bounds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .bounds import div_d_bound, quantised_attention_bound, softmax_bound
from .experiment import Outcome
from .output import relative_l2, softmax_to_real
from .reference import (
    attention_div_d,
    attention_softmax,
    float_attention,
    float_div_d,
    float_softmax,
    scores,
)
from .sums import SoftmaxSums
from .workload import Workload

__all__ = ["Agreement", "Verification", "verify"]

Floats = NDArray[np.float64]
FLOAT64_SLACK = 1e-9  # the float64 references' own rounding, relative to the largest output


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Distance to one float64 reference: relative L2 error per head, and the worst error as a share of its bound."""

    relative_l2: tuple[float, ...]
    worst_share_of_bound: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """compared, different: output elements (for softmax also largest scores and weight sums) against the integers.

    kernel: against float64 on the same integers; None for wrapping arithmetic, which float64 does not approximate.
    real: against float64 on the unquantised tensors; None where there are none or no bound is proven (div_d).
    """

    compared: int
    different: int
    kernel: Agreement | None
    real: Agreement | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Head:
    """All queries [n, dim] of one context and what the DPUs answered."""

    index: int
    q: NDArray[np.signedinteger[Any]]
    k: NDArray[np.signedinteger[Any]]
    v: NDArray[np.signedinteger[Any]]
    outputs: NDArray[np.signedinteger[Any]] | SoftmaxSums


def verify(workload: Workload, outcome: Outcome, *, advance: Callable[[int], None]) -> Verification:
    """Check every output element of a run; `advance(1)` is called after each context."""
    compared = different = 0
    kernel: list[tuple[float, float]] = []
    real: list[tuple[float, float]] = []
    for head in _heads(workload, outcome):
        wrong, total = _differences(workload, head)
        different, compared = different + wrong, compared + total
        if workload.acc == "wide":
            kernel.append(_kernel_agreement(workload, head))
        if workload.origin is not None and workload.norm == "softmax":
            real.append(_real_agreement(workload, head))
        advance(1)
    return Verification(compared=compared, different=different, kernel=_agreement(kernel), real=_agreement(real))


def _heads(workload: Workload, outcome: Outcome) -> Iterator[_Head]:
    """Contexts that differ: one per head of real tensors, which the whole batch shares, else one per DPU."""
    if workload.origin is not None:
        positions = workload.origin.q.values.shape[1]
        for head in range(workload.heads):
            yield _Head(
                index=head,
                q=workload.queries[:, :, head].reshape(-1, workload.dim)[:positions],
                k=workload.k[0, head],
                v=workload.v[0, head],
                outputs=_each(outcome.outputs, partial(_positions_of, head=head, positions=positions)),
            )
        return
    for request in range(workload.batch):
        for head in range(workload.heads):
            yield _Head(
                index=head,
                q=workload.queries[:, request, head],
                k=workload.k[request, head],
                v=workload.v[request, head],
                outputs=_each(outcome.outputs, itemgetter((slice(None), request, head))),
            )


def _positions_of(part: NDArray[Any], *, head: int, positions: int) -> NDArray[Any]:
    """[steps, batch, heads, ...] to the query positions of one head, in order."""
    one = part[:, :, head]
    return one.reshape(-1, *one.shape[2:])[:positions]


def _each(outputs: Any, select: Callable[[NDArray[Any]], NDArray[Any]]) -> Any:
    return SoftmaxSums(*map(select, outputs)) if isinstance(outputs, SoftmaxSums) else select(outputs)


def _differences(workload: Workload, head: _Head) -> tuple[int, int]:
    """Elements that differ from the integer reference, and elements compared."""
    if isinstance(head.outputs, SoftmaxSums):
        expected: tuple[Any, ...] = attention_softmax(head.q, head.k[None], head.v[None], workload.plans[head.index])
        pairs = list(zip(head.outputs, expected, strict=True))
    else:
        pairs = [(head.outputs, attention_div_d(head.q, head.k[None], head.v[None], acc=workload.acc))]
    return sum(int((ours != theirs).sum()) for ours, theirs in pairs), sum(ours.size for ours, _ in pairs)


def _kernel_agreement(workload: Workload, head: _Head) -> tuple[float, float]:
    """Error and share of the bound against float64 on the same integers (B-1, B-3)."""
    if isinstance(head.outputs, SoftmaxSums):
        exact = scores(head.q, head.k[None], acc="wide")
        reference = float_softmax(exact, head.v[None], logit_scale=workload.logit_scales[head.index])
        bits = workload.plans[head.index].probability_bits
        bound = softmax_bound(head.v[None], weight_sum=head.outputs.weight_sum, probability_bits=bits)
        return _compare(softmax_to_real(head.outputs, v_scale=1.0), reference, bound)
    reference = float_div_d(head.q, head.k[None], head.v[None])
    return _compare(head.outputs.astype(np.float64), reference, div_d_bound(head.v, dim=workload.dim)[None])


def _real_agreement(workload: Workload, head: _Head) -> tuple[float, float]:
    """Error and share of the bound against float64 attention of the unquantised tensors (K-2, B-5, B-3)."""
    origin, index = workload.origin, slice(head.index, head.index + 1)
    assert origin is not None
    assert isinstance(head.outputs, SoftmaxSums)
    q, k, v = (type(x)(values=x.values[index], scale=x.scale[index]) for x in (origin.q, origin.k, origin.v))
    bits = workload.plans[head.index].probability_bits
    bound = quantised_attention_bound(
        q, k, v, scale=origin.scale, weight_sum=head.outputs.weight_sum[None], probability_bits=bits
    )
    real = origin.real
    reference = float_attention(real.q[head.index], real.k[index], real.v[index], scale=origin.scale)
    return _compare(softmax_to_real(head.outputs, v_scale=v.scale), reference, bound[0])


def _compare(ours: Floats, reference: Floats, bound: Floats) -> tuple[float, float]:
    slack = FLOAT64_SLACK * max(1.0, float(np.abs(reference).max()))
    share = float((np.abs(ours - reference) / (bound + slack)).max())
    return float(relative_l2(ours, reference)), share


def _agreement(pairs: list[tuple[float, float]]) -> Agreement | None:
    if not pairs:
        return None
    errors, shares = zip(*pairs, strict=True)
    return Agreement(relative_l2=errors, worst_share_of_bound=max(shares))
