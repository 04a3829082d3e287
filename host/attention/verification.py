"""Compares what the DPUs computed with the integer reference, bit for bit, and with float64, against proven bounds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .answers import Answers, rearrange
from .bounds import alibi_logit_error, real_softmax_bound
from .expected import expected_answers
from .experiment import Outcome
from .float_answers import arithmetic_of, bound_of, float_answers, real_outputs
from .masks import visible
from .output import relative_l2
from .quantise import Quantised
from .reference import float_softmax
from .spec import AttentionSpec
from .value_statistics import ValueStatistics
from .workload import Origin, Workload

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
    real: against float64 on the unquantised tensors; None where there are none, or the norm is no softmax.
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
    arithmetic = arithmetic_of(spec, outcome.partition, outcome.nr_tasklets)
    for context in _contexts(workload, outcome):
        q, k, v = context.q, context.k, context.v
        expected = expected_answers(spec, q, k, v, partition=outcome.partition, nr_tasklets=outcome.nr_tasklets)
        for ours, theirs in zip(_arrays(context.answers), _arrays(expected), strict=True):
            different, compared = different + int((ours != theirs).sum()), compared + ours.size
        if spec.acc == "wide":
            outputs, certificate = (
                real_outputs(context.answers),
                bound_of(spec, context.answers, ValueStatistics.of(v), arithmetic),
            )
            kernel += _compare(outputs, float_answers(spec, q, k, v), certificate)
            if workload.origin is not None and spec.is_softmax:
                real += _real_agreement(spec, workload.origin, outputs, certificate)
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
        yield _Context(q=queries, k=workload.k[0], v=workload.v[0], answers=rearrange([outcome.outputs], in_order))
        return
    for request in range(workload.batch):
        answers = rearrange([outcome.outputs], itemgetter((slice(None), request)))
        yield _Context(q=workload.queries[:, request], k=workload.k[request], v=workload.v[request], answers=answers)


def _arrays(answers: Answers) -> tuple[NDArray[Any], ...]:
    return (answers,) if isinstance(answers, np.ndarray) else tuple(answers)


def _real_agreement(
    spec: AttentionSpec, origin: Origin, outputs: Floats, certificate: Floats
) -> list[tuple[float, float]]:
    """Error and share of the bound against float64 attention of the unquantised tensors (K-2, B-5, certificates).

    outputs, certificate: [n, heads, dim] in units of the integer values.
    """
    k, v = (
        Quantised(values=x.values.repeat(spec.queries, axis=0), scale=x.scale.repeat(spec.queries, axis=0))
        for x in (origin.k, origin.v)
    )
    bound = real_softmax_bound(
        origin.q,
        k,
        v,
        scale=origin.scale,
        kernel=certificate.swapaxes(0, 1),
        bias_error=alibi_logit_error(spec.logit_scales) if spec.alibi_slopes else 0.0,
    )
    ours = outputs * v.scale[:, None]
    return _compare(ours, _real_answers(spec, origin).swapaxes(0, 1), bound.swapaxes(0, 1))


def _real_answers(spec: AttentionSpec, origin: Origin) -> Floats:
    """softmax(scale q.k + ALiBi) v of the unquantised tensors, of queries at the newest token; [heads, n, dim]."""
    tokens = origin.real.k.shape[1]
    first, end = map(int, visible(tokens - 1, tokens=tokens, window=spec.window))
    k, v = (x[:, first:end].repeat(spec.queries, axis=0) for x in (origin.real.k, origin.real.v))
    logits = origin.scale * (origin.real.q @ k.swapaxes(1, 2))
    if spec.alibi_slopes:
        logits -= np.multiply.outer(spec.alibi_slopes, tokens - 1 - np.arange(first, end))[:, None]
    return float_softmax(logits, v[:, None], logit_scale=1.0)


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
