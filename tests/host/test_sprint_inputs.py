"""Streams of queries: what is planted is there, real tensors keep their logits, and padding is zeros."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from host.attention.bounds import logit_error
from host.attention.samples import random_reals, shipped_operands
from host.sprint.inputs import QueryStream, padded, quantised_stream, real_stream, synthetic_stream
from host.sprint.scores import exact_scores

pytestmark = pytest.mark.quick


def cosines(one: NDArray[Any], other: NDArray[Any]) -> NDArray[np.float64]:
    a, b = one.astype(np.float64), other.astype(np.float64)
    result: NDArray[np.float64] = (a * b).sum(axis=-1) / np.sqrt(np.square(a).sum(axis=-1) * np.square(b).sum(axis=-1))
    return result


def made_up(**options: Any) -> QueryStream:
    return synthetic_stream(1, **{"heads": 2, "queries": 100, "tokens": 256, "dim": 64, **options})


def logits(stream: QueryStream) -> NDArray[np.float64]:
    return exact_scores(stream.queries, stream.keys) * stream.logit_scales[:, None, None]


@pytest.mark.parametrize("drift", [0.0, 0.5, 0.95, 1.0])
def test_adjacent_queries_are_as_alike_as_asked(drift: float) -> None:
    queries = made_up(drift=drift).queries
    assert cosines(queries[:, 1:], queries[:, :-1]).mean() == pytest.approx(drift, abs=0.05)


def test_runs_are_tokens_side_by_side_and_clusters_are_scattered() -> None:
    runs, clusters, none = (made_up(structure=structure).keys for structure in ("runs", "clusters", "none"))
    beside = [cosines(keys[:, 1:], keys[:, :-1]).mean() for keys in (runs, clusters, none)]
    assert beside[0] > 0.6
    assert max(np.abs(beside[1:])) < 0.15
    within = cosines(clusters[0][:, None], clusters[0][None])
    assert ((within > 0.6).sum(axis=1) == 16).mean() > 0.9


def test_peaked_data_has_tokens_that_a_query_cannot_miss() -> None:
    def largest(structure: str) -> float:
        logit = logits(made_up(drift=0.95, structure=structure))
        weights = np.exp(logit - logit.max(axis=-1, keepdims=True))
        return float((1 / weights.sum(axis=-1)).mean())

    assert largest("peaked") > 3 * largest("none")


def test_logits_have_the_spread_of_real_ones() -> None:
    assert logits(made_up()).std() == pytest.approx(2.0, rel=0.1)


def test_the_same_seed_gives_the_same_stream() -> None:
    one, again, other = (synthetic_stream(seed, queries=3, tokens=4, dim=5) for seed in (7, 7, 8))
    for name in ("queries", "keys", "values", "logit_scales", "value_scales"):
        assert (getattr(one, name) == getattr(again, name)).all()
    assert (one.keys != other.keys).any()


def test_the_shipped_heads_keep_their_logits() -> None:
    real, stream = shipped_operands(), real_stream()
    assert (stream.heads, stream.tokens, stream.dim, stream.layers, stream.valid) == (24, 384, 32, 2, 384)
    some = slice(0, 24, 8)
    wanted = np.einsum("hqd,hkd->hqk", real.q[some, :9], real.k[some]) / math.sqrt(32)
    scales = stream.logit_scales[some, None]
    bound = logit_error(stream.queries[some, :9], stream.keys[some, None], logit_scale=scales)
    ours = exact_scores(stream.queries[some, :9], stream.keys[some]) * scales[..., None]
    assert (np.abs(ours - wanted).max(axis=-1) <= bound).all()


def test_heads_that_share_k_and_v_repeat_them() -> None:
    real = random_reals(0, heads=2, queries=3, tokens=5, dim=4)
    shared = quantised_stream(type(real)(q=real.q.repeat(3, axis=0), k=real.k, v=real.v))
    alone = quantised_stream(real)
    assert shared.heads == 6
    assert (shared.keys == alone.keys.repeat(3, axis=0)).all()
    assert (shared.values == alone.values.repeat(3, axis=0)).all()
    assert shared.value_scales.tolist() == alone.value_scales.repeat(3).tolist()


def test_padding_is_zeros_and_can_be_taken_off() -> None:
    whole = made_up(queries=256)
    stream = padded(whole, 150)
    for rows in (stream.queries, stream.keys, stream.values):
        assert not rows[:, 150:].any()
    bare = stream.unpadded
    assert bare.tokens == bare.queries.shape[1] == bare.valid == 150
    assert (bare.keys == whole.keys[:, :150]).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tokens": 0}, "tokens = 0"),
        ({"dim": -1}, "dim = -1"),
        ({"drift": 1.5}, "drift = 1.5"),
        ({"drift": float("nan")}, "drift = nan"),
        ({"structure": "heaps"}, "choose one of none, runs, clusters, peaked"),
        ({"heads": 3, "layers": 2}, "3 heads in 2 layers"),
        ({"layers": 0}, "2 heads in 0 layers"),
    ],
)
def test_streams_that_cannot_be_made_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        made_up(**options)


@pytest.mark.parametrize("valid", [0, 257])
def test_padding_leaves_a_token_and_adds_none(valid: int) -> None:
    with pytest.raises(ValueError, match=f"valid = {valid} of 256"):
        padded(made_up(), valid)
