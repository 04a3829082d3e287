"""Thresholds from logits and from sampled scores."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from host.sprint.calibrated import calibrated_pruning
from host.sprint.calibration import quantile_threshold, threshold_from_logit
from host.sprint.inputs import synthetic_stream
from host.sprint.scores import approximate_scores
from host.sprint.thresholding import Thresholder, threshold

pytestmark = pytest.mark.quick

SCORES = hnp.arrays(
    np.int64, hnp.array_shapes(min_dims=2, max_dims=4, max_side=5), elements=st.integers(-(2**20), 2**20)
)


@given(logit=st.floats(-1e6, 1e6), scale=st.floats(1e-9, 1e3))
def test_least_score_that_reaches_a_logit(logit: float, scale: float) -> None:
    theta = int(threshold_from_logit(logit, scale))
    if abs(theta) < 2**53:  # whole numbers beyond are not all floats
        assert theta * Fraction(scale) >= Fraction(logit) > (theta - 1) * Fraction(scale)


def test_logits_of_several_heads_and_infinite_ones() -> None:
    assert threshold_from_logit(1.0, [0.5, 0.3, 2.0]).tolist() == [2.0, 4.0, 1.0]
    assert threshold_from_logit(-math.inf, [0.5, 0.3]).tolist() == [-math.inf] * 2
    for logit, scale in ((math.nan, 1.0), (1.0, 0.0), (1.0, math.inf)):
        with pytest.raises(ValueError, match="scales are positive and finite"):
            threshold_from_logit(logit, scale)


@given(scores=SCORES, percent=st.integers(1, 100))
def test_a_quantile_keeps_the_wanted_number_and_more_only_among_equals(scores, percent: int) -> None:
    for scope, shared in (("query", 1), ("head", 2), ("all", scores.ndim)):
        theta = quantile_threshold(scores, percent / 100, scope=scope)
        np.broadcast_to(theta, scores.shape[:-1])
        groups = scores.reshape(*scores.shape[: scores.ndim - shared], -1)
        thetas = np.broadcast_to(theta, scores.shape[:-1]).reshape(*groups.shape[:-1], -1)[..., :1]
        wanted = -(-percent * groups.shape[-1] // 100)
        assert ((groups >= thetas).sum(axis=-1) >= wanted).all()
        assert ((groups > thetas).sum(axis=-1) < wanted).all()


def test_shapes_by_scope() -> None:
    scores = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    shapes = {scope: quantile_threshold(scores, 0.2, scope=scope).shape for scope in ("query", "head", "layer", "all")}
    assert shapes == {"query": (2, 3, 4), "head": (2, 3, 1), "layer": (2, 1, 1), "all": ()}


def test_only_valid_scores_count() -> None:
    scores = np.arange(20).reshape(4, 5)
    valid = np.zeros((4, 5), np.bool_)
    valid[:2, :3] = True  # 0 1 2 5 6 7
    assert quantile_threshold(scores, 0.5, valid=valid) == 5
    with pytest.raises(ValueError, match="no valid one"):
        quantile_threshold(scores, 0.5, scope="query", valid=valid)


def test_a_calibrated_head_keeps_its_fraction() -> None:
    rng = np.random.default_rng(1)
    q, k = rng.integers(-128, 128, (3, 50, 16), np.int8), rng.integers(-128, 128, (3, 80, 16), np.int8)
    scores = approximate_scores(q, k)
    pruned = threshold(q, k, quantile_threshold(scores, 0.133))
    assert (~pruned).mean(axis=(1, 2)) == pytest.approx(0.133, abs=0.01)


@pytest.mark.parametrize("offset", ["none", "bias", "conservative"])
def test_a_calibrated_stream_keeps_its_fraction_with_every_offset(offset) -> None:
    stream = synthetic_stream(3, heads=2, queries=40, tokens=100, dim=16)
    pruning = calibrated_pruning(stream, 0.2, thresholder=Thresholder(offset=offset))
    kept = pruning.select(stream.queries, stream.keys).kept_fraction
    assert kept >= 0.2 if offset == "conservative" else kept == pytest.approx(0.2, abs=0.01)


@pytest.mark.parametrize(
    ("shape", "fraction", "scope", "message"),
    [
        ((3, 4), 0.0, "head", "keep_fraction = 0.0"),
        ((3, 4), 1.5, "head", "keep_fraction = 1.5"),
        ((3, 4), math.nan, "head", "keep_fraction = nan"),
        ((3, 4), 0.5, "token", "scope = 'token'"),
        ((3, 4), 0.5, "layer", "at least 3 axes"),
        ((3, 0), 0.5, "head", "none empty"),
    ],
)
def test_calibrations_that_cannot_be(shape, fraction, scope, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        quantile_threshold(np.zeros(shape, np.int64), fraction, scope=scope)
