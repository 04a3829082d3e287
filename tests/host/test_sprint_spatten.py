"""SpAtten: the largest probabilities, tokens and heads that stay dropped, and what progressive quantisation reads."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from host.sprint.comparators.spatten import SpAtten
from host.sprint.inputs import QueryStream, synthetic_stream
from host.sprint.scores import exact_scores

pytestmark = pytest.mark.quick


def stream(seed: int, *, heads: int = 4, tokens: int = 20, dim: int = 8, layers: int = 2) -> QueryStream:
    return synthetic_stream(seed, heads=heads, queries=3, tokens=tokens, dim=dim, layers=layers)


def spatten(given: QueryStream, **options: Any) -> SpAtten:
    return SpAtten(logit_scales=given.logit_scales, layers=given.layers, **options)


def probabilities(given: QueryStream) -> NDArray[np.float64]:
    weights = np.exp(exact_scores(given.queries, given.keys) * given.logit_scales[:, None, None])
    normalised: NDArray[np.float64] = weights / weights.sum(axis=-1, keepdims=True)
    return normalised


@given(seed=st.integers(0, 1000), percent=st.integers(1, 100))
def test_every_query_keeps_its_largest_probabilities(seed: int, percent: int) -> None:
    of = stream(seed)
    keep = spatten(of, value_keep=percent / 100, refine_below=1.0).select(of.queries, of.keys).keep
    assert (keep.sum(axis=-1) == math.ceil(percent * of.tokens / 100)).all()
    exact = probabilities(of)
    least, most = np.where(keep, exact, 1).min(axis=-1), np.where(keep, 0, exact).max(axis=-1)
    assert (least >= most).all()


@given(seed=st.integers(0, 1000), percent=st.integers(5, 95))
def test_the_second_layer_keeps_of_the_tokens_that_the_first_attended_to_most(seed: int, percent: int) -> None:
    of = stream(seed)
    keep = spatten(of, token_keep=percent / 100, msb_bits=8).select(of.queries, of.keys).keep
    first, second = np.split(keep, 2)
    assert first.all()
    left = math.ceil(percent * of.tokens / 100)
    most = np.argsort(-probabilities(of)[:2].sum(axis=(0, 1)), kind="stable")[:left]
    assert (np.flatnonzero(second.all(axis=(0, 1))) == np.sort(most)).all()
    assert second.sum() == second.shape[0] * second.shape[1] * left


def test_a_token_that_is_dropped_stays_dropped() -> None:
    of = stream(3, heads=8, tokens=40, layers=4)
    keep = spatten(of, token_keep=0.1).select(of.queries, of.keys).keep
    alive = [one.any(axis=(0, 1)) for one in np.split(keep, 4)]
    assert [int(one.sum()) for one in alive] == [40, 28, 16, 4]
    for before, after in pairwise(alive):
        assert not (after & ~before).any()


def test_the_head_with_the_smallest_output_is_dropped() -> None:
    of = stream(4)
    values = of.values.astype(np.float64)
    values[1] = 0
    found = spatten(of, head_keep=0.5, values=values).select(of.queries, of.keys)
    assert found.keep[[0, 1, 2]].all()
    assert not found.keep[3].any()
    assert not found.bytes[3].any()
    assert not found.operations[3].any()


def test_confident_queries_read_the_other_bits_of_kept_rows_only() -> None:
    of = stream(5, heads=1, tokens=20, dim=8, layers=1)
    never, always, at_once = (
        spatten(of, value_keep=0.25, **options).select(of.queries, of.keys)
        for options in ({"refine_below": 0.0}, {"refine_below": 1.0}, {"msb_bits": 8})
    )
    # Half of 20 rows of K, the other half of 5, and 5 rows of V; or 20 rows of K and 5 of V.
    assert never.bytes.tolist() == [[20 * 4 + 5 * 4 + 5 * 8] * 3]
    assert always.bytes.tolist() == at_once.bytes.tolist() == [[20 * 8 + 5 * 8] * 3]
    assert never.operations.tolist() == never.bytes.tolist()
    assert (always.keep == at_once.keep).all()


def test_rows_of_odd_bits_are_whole_bytes() -> None:
    of = stream(6, heads=1, tokens=10, dim=5, layers=1)
    found = spatten(of, msb_bits=3, refine_below=0.0, value_keep=0.1).select(of.queries, of.keys)
    assert found.decision.read_bytes.tolist() == [[10 * 2] * 3]
    assert found.attention.read_bytes.tolist() == [[4 + 5] * 3]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"value_keep": 0.0}, "value_keep = 0.0"),
        ({"token_keep": 1.5}, "token_keep = 1.5"),
        ({"head_keep": float("nan")}, "head_keep = nan"),
        ({"refine_below": -1.0}, "refine_below"),
        ({"msb_bits": 9}, "msb_bits = 9"),
        ({"layers": 0}, "layers = 0"),
        ({"head_keep": 0.5}, "without values"),
    ],
)
def test_options_that_mean_nothing_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SpAtten(logit_scales=np.ones(1), **options)


def test_operands_that_are_not_of_these_heads_are_refused() -> None:
    of = stream(7)
    with pytest.raises(ValueError, match=r"\[heads, queries, dim\]"):
        spatten(of).select(of.queries[0], of.keys[0])
    with pytest.raises(ValueError, match="3 heads in 2 layers"):
        spatten(of).select(of.queries[:3], of.keys[:3])
    with pytest.raises(ValueError, match="there are 2 heads"):
        spatten(of).select(of.queries[:2], of.keys[:2])
    with pytest.raises(ValueError, match="values have shape"):
        spatten(of, values=of.values[:1]).select(of.queries, of.keys)
