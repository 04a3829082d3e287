"""Thresholds in memory: offsets, noise, converters, columns; and what a query keeps that would lose everything."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from host.sprint.pruning import InMemoryPruning, keep_best
from host.sprint.scores import AnalogFormat, approximate_scores, exact_scores
from host.sprint.selection import Selection, Work, attention_work
from host.sprint.thresholding import Thresholder, columns_needed, threshold

pytestmark = pytest.mark.quick

INT8 = st.one_of(st.integers(-128, 127), st.sampled_from([-128, 127]))
ANALOG = st.sampled_from(
    [
        AnalogFormat(),
        AnalogFormat(mode="round"),
        AnalogFormat(levels="mid_rise"),
        AnalogFormat(q_bits=8),
        AnalogFormat(msb_bits=2, q_bits=3),
        AnalogFormat(msb_bits=7, mode="round"),
    ]
)
OPERANDS = st.integers(1, 8).flatmap(
    lambda dim: st.tuples(
        hnp.arrays(np.int8, st.tuples(st.integers(1, 3), st.just(dim)), elements=INT8),
        hnp.arrays(np.int8, st.tuples(st.integers(1, 8), st.just(dim)), elements=INT8),
    )
)
RNG = np.random.default_rng(4)
Q, K = RNG.integers(-128, 128, (5, 32), np.int8), RNG.integers(-128, 128, (40, 32), np.int8)


@given(operands=OPERANDS, analog=ANALOG, theta=st.integers(-200_000, 200_000), adc_bits=st.sampled_from([1, 2, 5, 12]))
def test_conservative_thresholds_prune_nothing_at_or_above_theta(operands, analog, theta, adc_bits) -> None:
    q, k = operands
    thresholder = Thresholder(analog=analog, offset="conservative", adc_bits=adc_bits)
    assert thresholder.is_certified
    pruned = thresholder.prune(q, k, theta)
    assert not (pruned & (exact_scores(q, k) >= theta)).any()


@given(operands=OPERANDS, data=st.data())
def test_conservative_at_the_score_itself(operands, data) -> None:
    """The hardest threshold of a token is its own score."""
    q, k = operands
    exact = exact_scores(q, k)
    token = data.draw(st.integers(0, len(k) - 1))
    pruned = Thresholder(offset="conservative").prune(q, k, exact[:, token])
    assert not (pruned & (exact >= exact[:, token, None])).any()
    assert not pruned[:, token].any()


@given(operands=OPERANDS, analog=ANALOG, theta=st.integers(-200_000, 200_000))
def test_without_offset_the_approximate_score_decides(operands, analog, theta) -> None:
    q, k = operands
    pruned = threshold(q, k, theta, Thresholder(analog=analog))
    assert np.array_equal(pruned, approximate_scores(q, k, analog) < theta)


def test_bias_raises_the_threshold_by_the_mean_excess() -> None:
    approximate = approximate_scores(Q, K)
    assert np.array_equal(Thresholder(offset="bias").prune(Q, K, 100), approximate < 100 + 56.25 * 32)
    assert np.array_equal(
        Thresholder(offset="bias", analog=AnalogFormat(q_bits=8)).prune(Q, K, 100),
        approximate_scores(Q, K, AnalogFormat(q_bits=8)) < 100,
    )


def test_infinite_thresholds() -> None:
    assert not threshold(Q, K, -np.inf).any()
    assert threshold(Q, K, np.inf).all()


def test_a_threshold_per_query_and_per_head() -> None:
    q = np.stack([Q, Q])
    thetas = np.arange(10.0).reshape(2, 5) * 1000
    each = threshold(q, K, thetas)
    for h, i in np.ndindex(2, 5):
        assert np.array_equal(each[h, i], threshold(Q[i : i + 1], K, thetas[h, i])[0])
    assert np.array_equal(threshold(q, K, thetas[:, :1])[1], threshold(Q, K, thetas[1, 0]))


# ---- columns (E4-3)


@given(operands=OPERANDS, theta=st.integers(-100_000, 100_000), data=st.data())
def test_sums_of_columns_decide_as_one_column(operands, theta, data) -> None:
    q, k = operands
    columns = data.draw(st.integers(1, q.shape[-1]))
    for offset in ("none", "bias", "conservative"):
        one, several = (Thresholder(offset=offset, columns=count).prune(q, k, theta) for count in (1, columns))
        assert np.array_equal(one, several)


def test_a_comparator_per_column_prunes_a_key_that_the_sum_keeps() -> None:
    q = np.array([[127, 127, 0, 0]], np.int8)
    k = np.array([[127, 127, 0, 0]], np.int8)  # all of the score is in the first of two columns
    score = int(approximate_scores(q, k)[0, 0])
    for combine, pruned in (("sum", False), ("per_column_or", True)):
        assert Thresholder(columns=2, combine=combine).prune(q, k, score).tolist() == [[pruned]]
    assert not Thresholder(columns=2, combine="per_column_or", offset="conservative").is_certified
    assert Thresholder(columns=1, combine="per_column_or", offset="conservative").is_certified


def test_columns_for_a_crossbar() -> None:
    assert [columns_needed(dim, 64) for dim in (1, 64, 65, 128)] == [1, 1, 2, 2]
    with pytest.raises(ValueError, match="both are at least 1"):
        columns_needed(64, 0)


# ---- noise and converters


def test_noise_is_repeatable_and_voids_the_certificate() -> None:
    noisy = Thresholder(noise_sigma=5000.0, noise_seed=3, offset="conservative")
    assert not noisy.is_certified
    assert np.array_equal(noisy.prune(Q, K, 0), noisy.prune(Q, K, 0))
    other = Thresholder(noise_sigma=5000.0, noise_seed=4, offset="conservative")
    assert (noisy.prune(Q, K, 20_000) != other.prune(Q, K, 20_000)).any()
    assert np.array_equal(Thresholder(noise_sigma=1e-9).prune(Q, K, 1), Thresholder().prune(Q, K, 1))


@given(operands=OPERANDS, theta=st.integers(-200_000, 200_000), adc_bits=st.integers(2, 16))
def test_a_converter_prunes_nothing_that_the_comparator_keeps(operands, theta, adc_bits) -> None:
    q, k = operands
    assert not (Thresholder(adc_bits=adc_bits).prune(q, k, theta) & ~Thresholder().prune(q, k, theta)).any()


def test_a_fine_converter_decides_as_the_comparator() -> None:
    assert np.array_equal(Thresholder(adc_bits=32).prune(Q, K, 1000), Thresholder().prune(Q, K, 1000))
    assert (Thresholder(adc_bits=2).prune(Q, K, 1000) != Thresholder().prune(Q, K, 1000)).any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"offset": "safe"}, "offset = 'safe': choose one of none, bias, conservative"),
        ({"combine": "and"}, "combine = 'and': choose one of sum, per_column_or"),
        ({"noise_sigma": -1.0}, r"noise_sigma = -1.0: it is 0 or more"),
        ({"noise_sigma": float("nan")}, "noise_sigma = nan"),
        ({"noise_seed": -1}, "noise_seed = -1"),
        ({"adc_bits": 0}, "adc_bits = 0: choose 1, a comparator, to 32"),
        ({"columns": 0}, "columns = 0"),
    ],
)
def test_thresholders_that_cannot_be(arguments, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Thresholder(**arguments)


def test_thresholds_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="theta is NaN"):
        threshold(Q, K, np.nan)
    with pytest.raises(ValueError, match=r"theta has shape \(3,\) for queries \(5,\)"):
        threshold(Q, K, [1, 2, 3])
    with pytest.raises(ValueError, match="there is none of tokens"):
        threshold(Q, K[:0], 0)


# ---- selections


@pytest.mark.parametrize("theta", [np.inf, 10**9])
def test_a_threshold_that_nothing_reaches(theta) -> None:
    best = InMemoryPruning(theta=theta).select(Q, K)
    assert (best.kept == 1).all()
    assert np.array_equal(best.keep.argmax(axis=-1), approximate_scores(Q, K).argmax(axis=-1))
    nothing = InMemoryPruning(theta=theta, when_all_pruned="keep_none").select(Q, K)
    assert not nothing.keep.any()
    assert nothing.attention.read_bytes.tolist() == [0] * len(Q)


def test_the_first_of_several_best_tokens_is_kept() -> None:
    keep = keep_best(np.zeros((2, 3), np.bool_), np.array([[1, 5, 5], [0, 0, 0]]))
    assert keep.tolist() == [[False, True, False], [True, False, False]]


def test_work_of_a_selection() -> None:
    selection = InMemoryPruning(theta=0).select(Q, K)
    assert np.array_equal(selection.keep, ~threshold(Q, K, 0))
    assert np.array_equal(selection.pruned, threshold(Q, K, 0))
    assert np.array_equal(selection.kept, selection.keep.sum(axis=-1))
    assert selection.kept_fraction == pytest.approx(selection.kept.sum() / selection.keep.size)
    # 32 dims of a 4-bit query go in, 40 bits of the vector come out; a kept token brings two rows of 32 bytes
    assert np.array_equal(selection.bytes, 16 + 5 + 64 * selection.kept)
    assert np.array_equal(selection.operations, 40 * 32 / 4 + 2 * 32 * selection.kept)
    assert (selection.decision.comparisons == 40).all()


def test_records_of_other_shapes_are_refused() -> None:
    work = attention_work(np.zeros(5, np.int64), dim=8)
    with pytest.raises(TypeError, match="keep is int64"):
        Selection(keep=np.zeros((5, 4), np.int64), decision=work, attention=work)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"decision.bit_products have shape \(5,\): there are queries \(6,\)"):
        Selection(keep=np.zeros((6, 4), np.bool_), decision=work, attention=work)
    bad = Work(work.bit_products, np.zeros(5), work.read_bytes)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"attention\.comparisons are float64"):
        Selection(keep=np.zeros((5, 4), np.bool_), decision=work, attention=bad)
    with pytest.raises(ValueError, match="when_all_pruned = 'fail'"):
        InMemoryPruning(theta=0, when_all_pruned="fail")  # type: ignore[arg-type]
