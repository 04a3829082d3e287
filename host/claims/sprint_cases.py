"""Heads to prune, for the checks of document 4: adversarial patterns, made-up peaked heads and shipped ones."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from host.sprint.calibration import quantile_threshold
from host.sprint.inputs import QueryStream, real_stream, synthetic_stream
from host.sprint.pruning import InMemoryPruning
from host.sprint.scores import approximate_scores, exact_scores

from .inventory import operand_inventory, random_operands

__all__ = ["KEEP_FRACTIONS", "Case", "cases", "peaked_case", "selections", "shipped_case"]

KEEP_FRACTIONS = (0.02, 0.05, 0.1, 0.133, 0.25, 0.5)


class Case(NamedTuple):
    """Operands of heads, int8: queries [heads, queries, dim], keys and values [heads, tokens, dim]; c of each head."""

    queries: NDArray[np.int8]
    keys: NDArray[np.int8]
    values: NDArray[np.int8]
    logit_scales: NDArray[np.float64]


def cases() -> Iterator[Case]:
    """Small heads of every pattern, -128 included, with long and short tails; peaked heads and shipped ones."""
    for tokens, dim in product((1, 7, 17), (2, 9)):
        q, k, v = operand_inventory("int8", tokens=tokens, dim=dim, lowest=-128, highest=127)
        yield _case(q[0][:, None], k[0], v[0], logit_range=8.0)
    q, k, v = random_operands("int8", seed=4, heads=4, tokens=40, dim=16)
    yield _case(q[0][:, None], k[0], v[0], logit_range=20.0)
    shipped = shipped_case()
    yield shipped._replace(queries=shipped.queries[:, :8])
    peaked = peaked_case()
    yield peaked._replace(queries=peaked.queries[:, :8])


def shipped_case() -> Case:
    """Two shipped heads, one of each layer, 32 of their queries."""
    return _of_stream(real_stream(), heads=slice(3, None, 12), queries=32)


def peaked_case() -> Case:
    """Two heads whose softmax has most of its weight on few of 96 tokens."""
    return _of_stream(
        synthetic_stream(4, heads=2, queries=32, tokens=96, dim=32, structure="peaked"), heads=slice(None), queries=32
    )


def selections(case: Case) -> Iterator[NDArray[np.bool_]]:
    """What thresholds in memory keep of a case, at several fractions: bool [heads, queries, tokens]."""
    approximate = approximate_scores(case.queries, case.keys)
    for fraction in KEEP_FRACTIONS:
        yield InMemoryPruning(theta=quantile_threshold(approximate, fraction)).select(case.queries, case.keys).keep


def _case(q: NDArray[np.generic], k: NDArray[np.generic], v: NDArray[np.generic], *, logit_range: float) -> Case:
    """Logits of a head reach `logit_range`, unless its scores are all 0."""
    queries, keys, values = (operand.astype(np.int8) for operand in (q, k, v))
    largest = np.abs(exact_scores(queries, keys)).max(axis=(1, 2))
    return Case(queries, keys, values, logit_range / np.maximum(largest, 1))


def _of_stream(stream: QueryStream, *, heads: slice, queries: int) -> Case:
    return Case(stream.queries[heads, :queries], stream.keys[heads], stream.values[heads], stream.logit_scales[heads])
