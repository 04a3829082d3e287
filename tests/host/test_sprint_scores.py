"""Approximate scores, exact ones from both parts, and the certificate between the two."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from host.attention.reference import scores as reference_scores
from host.sprint.certificate import uncertainty
from host.sprint.nibbles import split_msb_lsb
from host.sprint.scores import AnalogFormat, approximate_scores, column_scores, exact_scores, recomputed_scores

pytestmark = pytest.mark.quick

EVERY_INT8 = np.arange(-128, 128, dtype=np.int8)
FORMATS = st.one_of(
    st.builds(
        AnalogFormat, msb_bits=st.integers(1, 7), q_bits=st.integers(1, 8), mode=st.sampled_from(["trunc", "round"])
    ),
    st.builds(AnalogFormat, msb_bits=st.integers(1, 7), q_bits=st.integers(1, 8), levels=st.just("mid_rise")),
)
INT8 = st.one_of(st.integers(-128, 127), st.sampled_from([-128, 127, 0, -1]))


@st.composite
def operands(draw: Callable[..., int]):
    dim, queries, tokens = draw(st.integers(1, 9)), draw(st.integers(1, 3)), draw(st.integers(1, 6))
    return tuple(draw(hnp.arrays(np.int8, (rows, dim), elements=INT8)) for rows in (queries, tokens))


@given(operands=operands(), msb_bits=st.integers(1, 7), mode=st.sampled_from(["trunc", "round"]))
def test_scores_from_both_parts_are_the_direct_dot_products(operands, msb_bits, mode) -> None:
    q, k = operands
    direct = reference_scores(q, k[None], acc="wide")
    assert np.array_equal(exact_scores(q, k), direct)
    assert np.array_equal(recomputed_scores(q, split_msb_lsb(k, msb_bits, mode)), direct)


@given(operands=operands())
def test_the_default_is_256_times_the_product_of_nibbles(operands) -> None:
    q, k = operands
    expected = [
        [256 * sum((a >> 4) * (b >> 4) for a, b in zip(x, y, strict=True)) for y in k.tolist()] for x in q.tolist()
    ]
    assert approximate_scores(q, k).tolist() == expected
    mid_rise = [
        [64 * sum((2 * (a >> 4) + 1) * (2 * (b >> 4) + 1) for a, b in zip(x, y, strict=True)) for y in k.tolist()]
        for x in q.tolist()
    ]
    assert approximate_scores(q, k, AnalogFormat(levels="mid_rise")).tolist() == mid_rise


@given(operands=operands(), data=st.data())
def test_columns_add_up_to_the_score(operands, data) -> None:
    q, k = operands
    columns = data.draw(st.integers(1, q.shape[-1]))
    parts = column_scores(q, k, columns=columns)
    assert len(parts) == columns
    assert np.array_equal(parts.sum(axis=0), approximate_scores(q, k))


@pytest.mark.parametrize(
    ("analog", "excess"),
    [
        (AnalogFormat(), 56.25),
        (AnalogFormat(mode="round"), 0.25),
        (AnalogFormat(levels="mid_rise"), 0.25),
        (AnalogFormat(q_bits=8), 0.0),
        (AnalogFormat(msb_bits=7, q_bits=7), 0.25),
    ],
)
def test_mean_excess_over_uniform_residues(analog: AnalogFormat, excess: float) -> None:
    """Over all int8 that do not saturate the mean of (level - value) is exactly that of uniform residues."""
    assert analog.mean_excess == excess
    values = np.arange(-112, 112, dtype=np.int8)
    q_off, k_off = (np.mean(level(values) - values.astype(float)) for level in (analog.query_levels, analog.key_levels))
    assert q_off * k_off == excess


@given(analog=FORMATS)
def test_full_scale_is_the_largest_approximate_score(analog: AnalogFormat) -> None:
    largest = np.abs(approximate_scores(EVERY_INT8[:, None], EVERY_INT8[:, None], analog)).max()
    assert analog.largest_score(1) == largest
    assert analog.largest_score(7) == 7 * largest


# ---- the certificate


@given(analog=FORMATS)
def test_certificate_holds_and_is_attained_for_every_pair_of_int8(analog: AnalogFormat) -> None:
    """All 65,536 pairs; scores and U(q) are sums over dimensions, so this is the proof."""
    one = EVERY_INT8[:, None]
    slack = approximate_scores(one, one, analog) + uncertainty(one, analog)[:, None] - exact_scores(one, one)
    assert (slack.min(axis=1) == 0).all()


@given(operands=operands(), analog=FORMATS)
def test_certificate_holds_for_any_operands(operands, analog: AnalogFormat) -> None:
    q, k = operands
    assert (exact_scores(q, k) <= approximate_scores(q, k, analog) + uncertainty(q, analog)[:, None]).all()


@given(operands=operands(), q_bits=st.sampled_from([4, 8]))
def test_certificate_against_the_closed_forms(operands, q_bits: int) -> None:
    """S4-4: equal for truncation; for rounding the specification's takes msb and lsb apart, and is no smaller."""
    q = operands[0]
    wide = q.astype(int)
    for mode in ("trunc", "round"):
        residue = wide - AnalogFormat(mode=mode, q_bits=q_bits).query_levels(q)
        lowest = 0 if mode == "trunc" else -8
        closed = (np.maximum(lowest * wide, 15 * wide) + np.maximum(-128 * residue, 112 * residue)).sum(axis=-1)
        ours = uncertainty(q, AnalogFormat(mode=mode, q_bits=q_bits))
        assert np.array_equal(ours, closed) if mode == "trunc" else (ours <= closed).all()


# ---- what is refused


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"msb_bits": 8}, "msb_bits = 8: choose 1 to 7"),
        ({"q_bits": 0}, "q_bits = 0: choose 1 to 8"),
        ({"q_bits": 9}, "q_bits = 9: choose 1 to 8"),
        ({"mode": "floor"}, "mode = 'floor': choose one of trunc, round"),
        ({"levels": "high"}, "levels = 'high': choose one of floor, mid_rise"),
        ({"levels": "mid_rise", "mode": "round"}, "adds half a step twice"),
    ],
)
def test_formats_that_cannot_be(arguments, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AnalogFormat(**arguments)


@pytest.mark.parametrize(
    ("q_shape", "k_shape", "message"),
    [
        ((2, 4), (0, 4), "there is none of tokens"),
        ((2, 0), (3, 0), "there is none of dim"),
        ((2, 4), (3, 5), "dim, the last axis, must be the same"),
        ((4,), (3, 4), r"it must be \[..., queries, dim\]"),
        ((2, 5, 4), (3, 6, 4), r"axes before the last two do not match.*keys\[:, None\]"),
    ],
)
def test_operands_that_do_not_belong_together(q_shape, k_shape, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        approximate_scores(np.zeros(q_shape, np.int8), np.zeros(k_shape, np.int8))


def test_no_query_has_no_scores() -> None:
    k = np.zeros((3, 4), np.int8)
    assert approximate_scores(np.zeros((0, 4), np.int8), k).shape == (0, 3)
    assert uncertainty(np.zeros((0, 4), np.int8)).shape == (0,)


@pytest.mark.parametrize("columns", [0, 5])
def test_columns_that_a_key_cannot_have(columns: int) -> None:
    one = np.zeros((1, 4), np.int8)
    with pytest.raises(ValueError, match=f"columns = {columns} for keys of 4 dimensions: choose 1 to 4"):
        column_scores(one, one, columns=columns)


def test_leading_axes_broadcast() -> None:
    rng = np.random.default_rng(0)
    q, k = rng.integers(-128, 128, (2, 3, 5, 8), np.int8), rng.integers(-128, 128, (2, 1, 7, 8), np.int8)
    for h, g in product(range(2), range(3)):
        assert np.array_equal(exact_scores(q, k)[h, g], exact_scores(q[h, g], k[h, 0]))
