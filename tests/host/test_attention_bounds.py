"""Error bounds against float64 on adversarial data: they hold, and the worst inputs come close to them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from host.attention import bounds, merge, online, reference
from host.attention.output import softmax_to_real
from host.attention.quantise import Quantised, quantise
from host.attention.softmax_plan import softmax_plan
from host.attention.sums import SoftmaxSums

FLOAT64_SLACK = 1e-12  # of max|v|: rounding of the float64 references themselves


def softmax_error_and_bound(
    scores: NDArray[np.int64], v: NDArray[np.int64], logit_scale: float, probability_bits: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    plan = softmax_plan(
        logit_scale=logit_scale, score_bound=int(np.abs(scores).max()), probability_bits=probability_bits
    )
    weights = reference.softmax_weights(scores, plan)
    error = np.abs(weights @ v / weights.sum() - reference.float_softmax(scores, v, logit_scale=logit_scale))
    return error, bounds.softmax_bound(v, weight_sum=weights.sum(), probability_bits=probability_bits)


@given(
    scores=hnp.arrays(np.int64, st.integers(1, 60), elements=st.integers(-(2**40), 2**40)),
    data=st.data(),
    logit_range=st.floats(-30, 30),
    probability_bits=st.integers(8, 30),
)
def test_integer_softmax_is_within_its_bound(
    scores: NDArray[np.int64], data: st.DataObject, logit_range: float, probability_bits: int
) -> None:
    v = data.draw(hnp.arrays(np.int64, (len(scores), 2), elements=st.integers(-(2**20), 2**20)))
    error, bound = softmax_error_and_bound(scores, v, 2.0**logit_range / 2**40, probability_bits)
    assert (error <= bound + FLOAT64_SLACK * np.abs(v).max()).all()


@pytest.mark.parametrize("probability_bits", [8, 15, 16, 20, 24])
def test_many_tokens_that_all_round_down_nearly_reach_the_bound(probability_bits: int) -> None:
    """One token holds the weight, 4095 others fall just short of half a unit and vanish."""
    tokens, below_half = 4096, 2**20 + 2**10
    logit_scale = math.log(2) * (probability_bits + 1) / 2**20
    scores = np.full(tokens, -below_half)
    scores[0] = 0
    v = np.ones((tokens, 1), np.int64)
    v[0] = 0
    error, bound = softmax_error_and_bound(scores, v, logit_scale, probability_bits)
    assert (error <= bound).all()
    assert bound == pytest.approx(
        min(1.0, bounds.kernel_relative_error(probability_bits) + tokens * 2.0 ** -(probability_bits + 1)), rel=1e-6
    )
    assert error >= 0.85 * bound if probability_bits > 8 else error < bound


@pytest.mark.parametrize(
    ("probability_bits", "expected"),
    [(15, 6.25e-2), (16, 3.13e-2), (20, 1.96e-3), (24, 1.28e-4), (28, 1.39e-5), (30, 8.14e-6)],
)
def test_worst_case_over_4096_tokens(probability_bits: int, expected: float) -> None:
    bound = bounds.softmax_bound(
        np.array([[0]] * 4095 + [[1]]), weight_sum=2**probability_bits, probability_bits=probability_bits
    )
    assert bound == pytest.approx(expected, rel=7e-3)


def test_logit_perturbation_is_tight_for_two_tokens() -> None:
    v = np.array([[0.0], [3.0]])
    for epsilon in (1e-6, 0.1, 1.0, 20.0):
        change = reference.float_softmax([-epsilon / 2, epsilon / 2], v, logit_scale=1.0) - reference.float_softmax(
            [epsilon / 2, -epsilon / 2], v, logit_scale=1.0
        )
        bound = bounds.perturbation_bound(v, logit_error=epsilon)
        assert change == pytest.approx(bound, rel=1e-9)


@given(
    logits=hnp.arrays(np.float64, st.integers(1, 30), elements=st.floats(-20, 20)),
    epsilon=st.floats(0, 10),
    data=st.data(),
)
def test_logit_perturbation_is_bounded(logits: NDArray[np.float64], epsilon: float, data: st.DataObject) -> None:
    shift = data.draw(hnp.arrays(np.float64, len(logits), elements=st.floats(-1, 1)))
    v = data.draw(hnp.arrays(np.float64, (len(logits), 2), elements=st.floats(-100, 100)))
    change = np.abs(
        reference.float_softmax(logits + epsilon * shift, v, logit_scale=1.0)
        - reference.float_softmax(logits, v, logit_scale=1.0)
    )
    assert (change <= bounds.perturbation_bound(v, logit_error=epsilon) + FLOAT64_SLACK * 100).all()


@given(data=st.data(), limit=st.sampled_from([7, 127, 32767, 2**28]))
def test_quantised_logits_are_within_their_error(data: st.DataObject, limit: int) -> None:
    dim, tokens = data.draw(st.integers(1, 8)), data.draw(st.integers(1, 8))
    q, k = (data.draw(hnp.arrays(np.float64, (rows, dim), elements=st.floats(-1e3, 1e3))) for rows in (1, tokens))
    query, keys = (quantise(x, dtype="int32", limit=limit) for x in (q, k))
    scale = float(query.scale * keys.scale)
    exact = reference.scores(query.values[0], keys.values, acc="wide")
    error = np.abs(k @ q[0] - scale * exact).max()
    bound = bounds.logit_error(query.values[0], keys.values, logit_scale=scale)
    assert error <= bound + FLOAT64_SLACK * np.abs(k @ q[0]).max() + 1e-290


def attention_error_and_bound(
    q: NDArray[np.float64], k: NDArray[np.float64], v: NDArray[np.float64], *, limit: int, scale: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """One head of int16 operands, so that any limit up to 32767 will do."""
    query, keys, values = (quantise(x, dtype="int16", limit=limit) for x in (q, k, v))
    plan = softmax_plan(logit_scale=float(query.scale * keys.scale) * scale, score_bound=q.shape[-1] * limit**2)
    sums = reference.attention_softmax(query.values, keys.values[None], values.values[None], plan)
    error = np.abs(
        softmax_to_real(sums, v_scale=values.scale) - reference.float_attention(q, k[None], v[None], scale=scale)
    )
    return error, bounds.quantised_attention_bound(
        query, keys, values, scale=scale, weight_sum=sums.weight_sum, probability_bits=plan.probability_bits
    )


@given(data=st.data(), limit=st.sampled_from([7, 127, 32767]), scale=st.floats(1e-3, 2))
def test_total_bound_holds(data: st.DataObject, limit: int, scale: float) -> None:
    dim, tokens = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 6))
    element = st.floats(-8, 8).filter(lambda x: x == 0 or abs(x) > 1e-100)
    q, k, v = (data.draw(hnp.arrays(np.float64, (rows, dim), elements=element)) for rows in (2, tokens, tokens))
    error, bound = attention_error_and_bound(q, k, v, limit=limit, scale=scale)
    assert (error <= bound + FLOAT64_SLACK * 8).all()


@pytest.mark.parametrize("epsilon", [0.05, 0.5, 2.0])
def test_aligned_rounding_errors_nearly_reach_the_total_bound(epsilon: float) -> None:
    """Every element loses almost half a step in the direction that lowers the output."""
    dim, a, b, just_below_half = 128, 20, 2, 0.4999
    q, k = np.full((1, dim), a + just_below_half), np.full((2, dim), b + just_below_half)
    k[1] *= -1
    q[0, 0], k[:, 0] = 127, (-46, 45)  # scale 1 for q; centres the two logits so that the error matters most
    q[0, 1], k[:, 1] = 0, 127  # scale 1 for k
    v = np.zeros((2, dim))
    v[:, 0] = 126 + just_below_half, -127 + just_below_half
    v[0, 1] = 127  # scale 1 for v
    size = bounds.logit_error(np.rint(q[0]), np.rint(k), logit_scale=1.0)
    error, bound = attention_error_and_bound(q, k, v, limit=127, scale=epsilon / float(size))
    assert (error <= bound).all()
    assert error[0, 0] >= 0.9 * bound[0, 0]


def test_bound_never_exceeds_the_range_of_the_values() -> None:
    operand = Quantised(values=np.array([[100, -100]], np.int8), scale=np.array(10.0))
    v = Quantised(values=np.array([[5, 0]], np.int8), scale=np.array(2.0))
    bound = bounds.quantised_attention_bound(operand, operand, v, scale=1.0, weight_sum=[2**24], probability_bits=24)
    assert bound == pytest.approx(1.0, rel=1e-6)


def test_a_merge_that_rounds_every_weight_down_comes_close_to_its_bound() -> None:
    """Parts of one token, all but one just short of half a unit of Q30 below the largest: they vanish in the merge."""
    parts, bits, below_half = 2**16, 30, 2**20 + 2**10
    plan = softmax_plan(logit_scale=math.log(2) * 31 / 2**20, score_bound=below_half, probability_bits=bits)
    maxima = np.full(parts, -below_half)
    maxima[0] = 0
    v = np.ones((parts, 1), np.int64)
    v[0] = 0
    sums = SoftmaxSums(maxima, np.full(parts, 2**bits, np.uint64), v << bits)
    merged = merge.merge_softmax(sums, (plan,))
    error = np.abs(
        softmax_to_real(merged, v_scale=1.0) - reference.float_softmax(maxima, v, logit_scale=math.log(2) * 31 / 2**20)
    )
    bound = bounds.merged_softmax_bound(v, weight_sum=merged.weight_sum, probability_bits=bits, parts=parts)
    assert 0.2 * bound <= error <= bound


@pytest.mark.parametrize("workers", [1, 16])
@pytest.mark.parametrize("probability_bits", [8, 24])
def test_scores_that_keep_rising_rescale_at_every_token(workers: int, probability_bits: int) -> None:
    tokens, logit_scale = 256, 2.0**-9
    scores = np.arange(tokens)
    k, v = scores[:, None].astype(np.int16), np.where(scores < tokens // 2, 100, 101)[:, None].astype(np.int16)
    plan = softmax_plan(logit_scale=logit_scale, score_bound=tokens, probability_bits=probability_bits, octaves=30)
    sums = online.attention_online(np.ones(1, np.int16), k, v, plan, workers=workers)
    assert sums.rescales >= tokens // workers - 1
    error = np.abs(softmax_to_real(sums, v_scale=1.0) - reference.float_softmax(scores, v, logit_scale=logit_scale))
    given_sums = {"weight_sum": sums.weight_sum, "probability_bits": probability_bits}
    assert error <= bounds.online_bound(v, rescales=sums.rescales, chains=workers, **given_sums)
    if workers == 1 and probability_bits == 24:  # rescaling does cost something
        assert error > 10 * bounds.softmax_bound(v, **given_sums)


def test_online_softmax_that_never_rescales_has_the_bound_of_softmax() -> None:
    v = np.array([[3], [-4], [9]])
    plain, online_one = (
        bound(v, weight_sum=2**24, probability_bits=24, **more)
        for bound, more in ((bounds.softmax_bound, {}), (bounds.online_bound, {"rescales": 0, "chains": 1}))
    )
    assert online_one == pytest.approx(plain, rel=1e-3)
    assert online_one >= plain


def test_bounds_of_weighted_means_grow_with_every_source_of_error() -> None:
    v, base = np.array([[3], [-4], [9]]), {"weight_sum": 2**24, "probability_bits": 24, "rescales": 1, "chains": 1}
    at_first = bounds.online_bound(v, **base)
    for more in ({"rescales": 9}, {"chains": 9}, {"exponential": "poly2"}, {"probability_bits": 25}):
        assert (bounds.online_bound(v, **(base | more)) > at_first).all()
    assert np.isfinite(bounds.online_bound(v, **(base | {"rescales": 2**40}))).all()


@given(
    scores=hnp.arrays(np.int64, st.integers(2, 40), elements=st.integers(-500, 500)),
    data=st.data(),
    logit_scale=st.sampled_from([1e-3, 0.02, 1.0]),
)
def test_pruning_moves_the_output_within_its_bound(
    scores: NDArray[np.int64], data: st.DataObject, logit_scale: float
) -> None:
    v = data.draw(hnp.arrays(np.int64, (len(scores), 2), elements=st.integers(-128, 127)))
    threshold = data.draw(st.integers(-500, 500))
    kept = scores >= threshold
    kept[data.draw(st.integers(0, len(scores) - 1))] = True  # all pruned but one
    pruned = int((~kept).sum())
    maximum = scores[kept].max()
    gap = maximum - scores[~kept].max(initial=-500)
    change = reference.float_softmax(scores[kept], v[kept], logit_scale=logit_scale) - reference.float_softmax(
        scores, v, logit_scale=logit_scale
    )
    mass = np.exp(logit_scale * (scores[kept] - maximum)).sum()
    tight, loose = (
        bounds.pruning_bound(v, pruned=pruned, gap=gap, logit_scale=logit_scale, kept_mass=x) for x in (mass, 1.0)
    )
    assert (np.abs(change) <= tight + FLOAT64_SLACK * 128).all()
    assert (tight <= loose).all()


def test_pruning_equal_tokens_reaches_its_bound() -> None:
    v = np.array([[0], [0], [8], [8], [8]])
    change = reference.float_softmax([5, 5], v[:2], logit_scale=0.5) - reference.float_softmax(
        [5, 5, 1, 1, 1], v, logit_scale=0.5
    )
    bound = bounds.pruning_bound(v, pruned=3, gap=4, logit_scale=0.5, kept_mass=2.0)
    assert np.abs(change) == pytest.approx(bound, rel=1e-12)
    assert bounds.pruning_bound(v, pruned=0, gap=4, logit_scale=0.5) == 0


def test_rounded_bias_widens_the_total_bound() -> None:
    operand = Quantised(values=np.array([[[10, -20]]], np.int8), scale=np.array([0.1]))
    v = Quantised(values=np.array([[[5, 0], [0, 5]]], np.int8), scale=np.array([2.0]))
    k = Quantised(values=np.array([[[1, 2], [3, 4]]], np.int8), scale=np.array([0.1]))
    without, with_bias = (
        bounds.quantised_attention_bound(
            operand, k, v, scale=1.0, weight_sum=[[2**24]], probability_bits=24, bias_error=error
        )
        for error in (0.0, [0.2])
    )
    assert (with_bias > without).all()
