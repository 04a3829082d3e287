"""Masks and ALiBi: ranges against counting token by token, slopes against the paper, biases rounded exactly (K-9)."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from host.attention import bounds
from host.attention.masks import alibi_bias, alibi_slopes, visible
from host.attention.partition import Partition
from host.attention.reference import float_softmax

pytestmark = pytest.mark.quick


@given(position=st.integers(0, 30), tokens=st.integers(0, 30), window=st.none() | st.integers(1, 35) | st.just(10**20))
def test_visible_tokens_are_those_the_definition_names(position: int, tokens: int, window: int | None) -> None:
    wanted = [j for j in range(tokens) if j <= position and (window is None or position - window < j)]
    seen = visible(position, tokens=tokens, window=window)
    assert list(range(int(seen.first), int(seen.end))) == wanted
    assert 0 <= seen.first <= seen.end <= tokens


@given(position=st.integers(0, 30), window=st.none() | st.integers(1, 35), parts=st.integers(1, 5))
def test_parts_see_together_what_the_whole_sees(position: int, window: int | None, parts: int) -> None:
    placement = Partition(parts, "interleave").over(31)
    seen = visible(position, tokens=31, window=window)
    local = placement.local_range(*seen, np.arange(parts))
    assert (local.end - local.first).sum() == seen.end - seen.first


def test_positions_and_lengths_broadcast() -> None:
    seen = visible(np.arange(4)[:, None], tokens=[2, 4], window=2)
    assert seen.first.tolist() == [[0, 0], [0, 0], [1, 1], [2, 2]]
    assert seen.end.tolist() == [[1, 1], [2, 2], [2, 3], [2, 4]]


@pytest.mark.parametrize(("position", "tokens", "window"), [(-1, 3, None), (0, -1, None), (0, 3, 0)])
def test_impossible_masks_are_refused(position: int, tokens: int, window: int | None) -> None:
    with pytest.raises(ValueError, match=r"positions|window"):
        visible(position, tokens=tokens, window=window)


def test_slopes_are_the_published_ones() -> None:
    assert alibi_slopes(8).tolist() == [2.0**-i for i in range(1, 9)]
    assert alibi_slopes(16)[:2] == pytest.approx([2**-0.5, 0.5], rel=1e-15)
    assert alibi_slopes(1).tolist() == [2.0**-8]
    twelve = [2.0**-i for i in range(1, 9)] + [2.0**-i for i in (0.5, 1.5, 2.5, 3.5)]
    assert alibi_slopes(12) == pytest.approx(twelve, rel=1e-15)
    assert all(len(alibi_slopes(heads)) == heads for heads in range(1, 70))
    with pytest.raises(ValueError, match="at least 1"):
        alibi_slopes(0)


@given(
    slope=st.floats(-1, 1),
    logit_scale=st.floats(1e-9, 10),
    distance=hnp.arrays(np.int64, (2, 3), elements=st.integers(-5000, 5000)),
)
def test_biases_are_rounded_exactly_and_logits_are_within_half_a_score(
    slope: float, logit_scale: float, distance: np.ndarray
) -> None:
    bias = alibi_bias(slope, logit_scale=logit_scale, distance=distance)
    assert bias.shape == distance.shape
    scale, limit = Fraction(logit_scale), Fraction(float(bounds.alibi_logit_error(logit_scale)))
    for ours, places in zip(bias.ravel().tolist(), distance.ravel().tolist(), strict=True):
        exact = -Fraction(slope) * places / scale
        error = abs(ours - exact)
        assert error * scale <= limit
        assert error < Fraction(1, 2) or abs(ours) > abs(exact)


@given(distance=st.integers(0, 10))
def test_ties_go_away_from_zero(distance: int) -> None:
    assert alibi_bias(0.25, logit_scale=0.5, distance=distance) == -((distance + 1) // 2)
    assert alibi_bias(0.25, logit_scale=0.5, distance=-distance) == (distance + 1) // 2


@given(data=st.data(), tokens=st.integers(1, 30), logit_scale=st.floats(1e-3, 8), heads=st.integers(1, 12))
def test_rounded_biases_move_the_output_within_the_bound(
    data: st.DataObject, tokens: int, logit_scale: float, heads: int
) -> None:
    scores = data.draw(hnp.arrays(np.int64, tokens, elements=st.integers(-100, 100)))
    v = data.draw(hnp.arrays(np.int64, (tokens, 2), elements=st.integers(-128, 127)))
    distance = tokens - 1 - np.arange(tokens)
    slope = float(alibi_slopes(heads)[-1])
    rounded = scores + alibi_bias(slope, logit_scale=logit_scale, distance=distance)
    change = float_softmax(rounded, v, logit_scale=logit_scale) - float_softmax(
        scores * logit_scale - slope * distance, v, logit_scale=1.0
    )
    bound = bounds.perturbation_bound(v, logit_error=bounds.alibi_logit_error(logit_scale))
    assert (np.abs(change) <= bound + 1e-11).all()


def test_biases_nearly_reach_their_bound() -> None:
    """Two tokens whose bias is a tie, rounded in opposite directions by one score."""
    v, logit_scale = np.array([[0], [100]]), 0.5
    rounded = alibi_bias(0.25, logit_scale=logit_scale, distance=[1, 0])
    change = float_softmax(rounded, v, logit_scale=logit_scale) - float_softmax([-0.25, 0.0], v, logit_scale=1.0)
    bound = bounds.perturbation_bound(v, logit_error=bounds.alibi_logit_error(logit_scale))
    assert 0.4 * bound <= np.abs(change) <= bound


@pytest.mark.parametrize(
    ("slope", "logit_scale"), [(1.0, 0.0), (1.0, -1.0), (np.nan, 1.0), (1.0, np.inf), (1.0, 2.0**-62)]
)
def test_impossible_biases_are_refused(slope: float, logit_scale: float) -> None:
    with pytest.raises(ValueError, match="scale"):
        alibi_bias(slope, logit_scale=logit_scale, distance=1)
