"""Compares what the DPUs computed with the integer reference, bit for bit, and with float64, against proven bounds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .answers import Answers, rearrange
from .bounds import quantised_attention_bound
from .expected import expected_answers
from .experiment import Outcome
from .float_answers import arithmetic_of, bound_of, float_answers, real_outputs
from .output import relative_l2, softmax_to_real
from .quantise import Quantised
from .reference import float_attention
from .sums import SoftmaxSums
from .value_statistics import ValueStatistics
from .workload import Workload

__all__ = ["Agreement", "Verification", "nr_contexts", "verify"]

Integers = NDArray[np.signedinteger[Any]]
Floats = NDArray[np.float64]
FLOAT64_SLACK = 1e-9  # the float64 references' own rounding, relative to the largest output


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Distance to one float64 reference: relative L2 error per head, and the worst error as a share of its bound."""

    relative_l2: tuple[float, ...]
    worst_share_of_bound: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """compared, different: output elements (and what stands behind them, such as weight sums) against the integers.

    kernel: against float64 on the same integers; None for wrapping arithmetic, which float64 does not approximate.
    real: against float64 on the unquantised tensors; None where there are none or no bound is proven.
    """

    compared: int
    different: int
    kernel: Agreement | None
    real: Agreement | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Context:
    """K and V [kv_heads, tokens, dim] with all queries [n, heads, dim] to them and what the DPUs answered."""

    q: Integers
    k: Integers
    v: Integers
    answers: Answers


def verify(workload: Workload, outcome: Outcome, *, advance: Callable[[int], None]) -> Verification:
    """Check every output element of a run; `advance(1)` is called after each context."""
    compared = different = 0
    kernel: list[tuple[float, float]] = []
    real: list[tuple[float, float]] = []
    spec = workload.spec
    for context in _contexts(workload, outcome):
        q, k, v = context.q, context.k, context.v
        expected = expected_answers(
            spec, q, k, v, partition=outcome.partition, nr_tasklets=outcome.nr_tasklets
        )
        for ours, theirs in zip(_arrays(context.answers), _arrays(expected), strict=True):
            different, compared = different + int((ours != theirs).sum()), compared + ours.size
        if spec.acc == "wide":
            arithmetic = arithmetic_of(spec, outcome.partition, outcome.nr_tasklets)
            bound = bound_of(spec, context.answers, ValueStatistics.of(v), arithmetic)
            kernel += _compare(real_outputs(context.answers), float_answers(spec, q, k, v), bound)
        if workload.origin is not None and isinstance(context.answers, SoftmaxSums) and _has_real_bound(workload, outcome):
            real += _real_agreement(workload, context)
        advance(1)
    return Verification(compared=compared, different=different, kernel=_agreement(kernel), real=_agreement(real))


def nr_contexts(workload: Workload) -> int:
    """How many contexts differ: one for real tensors, which the whole batch shares."""
    return 1 if workload.origin is not None else workload.batch


def _contexts(workload: Workload, outcome: Outcome) -> Iterator[_Context]:
    spec = workload.spec
    if workload.origin is not None:
        positions = workload.origin.q.values.shape[1]

        def in_order(part: NDArray[Any]) -> NDArray[Any]:
            return part.reshape(-1, *part.shape[2:])[:positions]

        queries = workload.queries.reshape(-1, spec.heads, spec.dim)[:positions]
        yield _Context(
            q=queries, k=workload.k[0], v=workload.v[0], answers=rearrange([outcome.outputs], in_order)
        )
        return
    for request in range(workload.batch):
        answers = rearrange([outcome.outputs], itemgetter((slice(None), request)))
        yield _Context(q=workload.queries[:, request], k=workload.k[request], v=workload.v[request], answers=answers)


def _arrays(answers: Answers) -> tuple[NDArray[Any], ...]:
    return (answers,) if isinstance(answers, np.ndarray) else tuple(answers)


def _has_real_bound(workload: Workload, outcome: Outcome) -> bool:
    """K-2, B-5 and B-3 together are proven for whole contexts."""
    return workload.spec.window is None and not workload.spec.alibi_slopes and outcome.partition.parts == 1


def _real_agreement(workload: Workload, context: _Context) -> list[tuple[float, float]]:
    """Error and share of the bound against float64 attention of the unquantised tensors (K-2, B-5, B-3)."""
    origin, spec = workload.origin, workload.spec
    assert origin is not None
    assert isinstance(context.answers, SoftmaxSums)
    weight_sum = context.answers.weight_sum.swapaxes(0, 1)  # heads first, as in the tensors
    k, v = (
        Quantised(values=x.values.repeat(spec.queries, axis=0), scale=x.scale.repeat(spec.queries, axis=0))
        for x in (origin.k, origin.v)
    )
    bound = quantised_attention_bound(
        origin.q,
        k,
        v,
        scale=origin.scale,
        weight_sum=weight_sum,
        probability_bits=spec.probability_bits,
        exponential=spec.exponential,
    )
    real = origin.real
    keys, values = (x.repeat(spec.queries, axis=0)[:, None] for x in (real.k, real.v))
    reference = float_attention(real.q, keys, values, scale=origin.scale)
    ours = softmax_to_real(context.answers, v_scale=1.0).swapaxes(0, 1) * v.scale.reshape(-1, 1, 1)
    return _compare(*(x.swapaxes(0, 1) for x in (ours, reference, bound)))


def _compare(ours: Floats, reference: Floats, bound: Floats) -> list[tuple[float, float]]:
    """Relative L2 error of each head, and its worst error as a share of the bound; all [n, heads, dim]."""
    slack = FLOAT64_SLACK * max(1.0, float(np.abs(reference).max()))
    shares = (np.abs(ours - reference) / (bound + slack)).max(axis=(0, 2))
    errors = relative_l2(ours.swapaxes(0, 1), reference.swapaxes(0, 1))
    return list(zip(errors.tolist(), shares.tolist(), strict=True))


def _agreement(pairs: list[tuple[float, float]]) -> Agreement | None:
    if not pairs:
        return None
    errors, shares = zip(*pairs, strict=True)
    return Agreement(relative_l2=errors, worst_share_of_bound=max(shares))
