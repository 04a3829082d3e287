"""What exact attention would answer to the same integers, in float64: what DPUs approximate, with masks and biases."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .answers import Answers
from .certificates import Arithmetic, certificate, div_d_certificate
from .masks import visible
from .output import sums_to_real
from .partition import Partition
from .reference import exact_scores, float_softmax
from .spec import AttentionSpec
from .value_statistics import ValueStatistics
from .zscore import float_zscore

__all__ = ["arithmetic_of", "bound_of", "float_answers", "real_outputs"]

Integers = NDArray[np.signedinteger[Any]]
Floats = NDArray[np.float64]


def float_answers(spec: AttentionSpec, q: Integers, k: Integers, v: Integers, *, position: int | None = None) -> Floats:
    """Outputs [n, heads, dim] to queries q [n, heads, dim], in units of the integer values; as `expected_answers`."""
    tokens = k.shape[1]
    place = tokens - 1 if position is None else position
    first, end = map(int, visible(place, tokens=tokens, window=spec.window))
    seen = np.arange(first, end)
    outputs = np.empty((*q.shape[:2], spec.dim))
    for head in range(spec.heads):
        keys, values = (rows[head // spec.queries, first:end] for rows in (k, v))
        scores = exact_scores(
            q[:, head], keys[None], values[None], norm=spec.norm, bias=spec.biases(head, place - seen)
        )
        if spec.is_softmax:
            outputs[:, head] = float_softmax(scores, values, logit_scale=spec.logit_scale(head))
        elif spec.norm == "div_d":
            outputs[:, head] = scores.astype(np.float64) / spec.dim @ values.astype(np.float64)
        else:
            outputs[:, head] = float_zscore(scores, values)
    return outputs


def real_outputs(answers: Answers) -> Floats:
    """Answers as float64 [..., dim] in units of the integer values."""
    if isinstance(answers, np.ndarray):
        return answers.astype(np.float64)
    return sums_to_real(answers, v_scale=1.0)


def arithmetic_of(spec: AttentionSpec, partition: Partition, nr_tasklets: int) -> Arithmetic:
    """How answers come about, as far as their error depends on it."""
    return Arithmetic(
        probability_bits=spec.probability_bits,
        exponential=spec.exponential,
        workers=nr_tasklets - 1,
        parts=partition.parts,
        score_bound=spec.dim * spec.q_max * spec.kv_max + spec.bias_max,
    )


def bound_of(spec: AttentionSpec, answers: Answers, values: ValueStatistics, arithmetic: Arithmetic) -> Floats:
    """Certificate of answers [..., heads, dim]; `values` of the KV heads, [..., kv_heads, dim] (B-1 to B-4, K-8)."""
    by_head = values.for_query_heads(spec.queries)
    if isinstance(answers, np.ndarray):
        return div_d_certificate(by_head, dim=spec.dim)
    return certificate(answers, by_head, arithmetic)
