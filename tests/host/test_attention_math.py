"""Quantisation, the integer references and their conversion to real numbers; accuracy on real activations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from host.attention import bounds, output, ranges, reference, samples
from host.attention.quantise import Quantised, apply_scale, quantise, quantise_vectors
from host.attention.softmax_plan import softmax_plan

DTYPES = ("int8", "int16", "int32")
BITS = {"int8": 8, "int16": 16, "int32": 32}
REAL_HEADS = hnp.arrays(
    np.float64, hnp.array_shapes(min_dims=3, max_dims=3, max_side=5), elements=st.floats(-1e300, 1e300)
)


def wrapped(value: int, bits: int) -> int:
    half = 1 << (bits - 1)
    return (value + half) % (2 * half) - half


def literal_div_d(q: Any, k: Any, v: Any, bits: int | None) -> list[int]:
    """S0-4 in Python integers for one query; `bits=None` does not wrap."""

    def narrow(value: int) -> int:
        return value if bits is None else wrapped(value, bits)

    quotients = []
    for row in k.tolist():
        score = narrow(sum(a * b for a, b in zip(q.tolist(), row, strict=True)))
        quotients.append(abs(score) // len(row) * (-1 if score < 0 else 1))
    return [narrow(sum(a * row[i] for a, row in zip(quotients, v.tolist(), strict=True))) for i in range(len(q))]


# ---- quantisation


@pytest.mark.parametrize(("dtype", "limit"), [("int8", 127), ("int16", 32767), ("int32", 2**28), ("int32", 2**31 - 1)])
@given(x=REAL_HEADS)
def test_quantised_elements_are_within_half_a_step(x: NDArray[np.float64], dtype: str, limit: int) -> None:
    quantised = quantise(x, dtype=dtype, limit=limit)
    assert quantised.values.dtype == dtype
    assert quantised.scale.shape == x.shape[:1]
    assert np.abs(quantised.values.astype(np.int64)).max() <= limit
    with np.errstate(under="ignore"):
        steps = x / quantised.scale[:, None, None]
    assert (np.abs(steps - quantised.values) <= 0.5 + 2.0**-22).all()


def test_scale_maps_the_largest_magnitude_to_the_limit() -> None:
    x = np.array([[[0.5, -2.0]], [[0.0, 0.0]], [[1e-320, 0.0]]])
    quantised = quantise(x, dtype="int8", limit=127)
    assert quantised.values[:2].tolist() == [[[32, -127]], [[0, 0]]]
    assert quantised.scale[:2].tolist() == [2 / 127, 1.0]
    assert quantised.scale[2] > 0


def test_a_scale_far_too_small_saturates() -> None:
    assert apply_scale([1e300, -1e300, 0.0], 5e-324, dtype="int32", limit=9).tolist() == [9, -9, 0]


def test_vectors_have_their_own_scales() -> None:
    x = np.array([[1.0, 0.5], [-4.0, 1.0]])
    quantised = quantise_vectors(x, dtype="int16", limit=1000)
    assert quantised.values.tolist() == [[1000, 500], [-1000, 250]]
    assert quantised.scale.tolist() == [0.001, 0.004]


def test_rounding_is_half_away_from_zero_and_saturates() -> None:
    x = [0.5, 1.5, -0.5, -2.5, 0.49999999999999994, 126.5, 127.5, 1e300, -1e300]
    assert apply_scale(x, 1.0, dtype="int8", limit=127).tolist() == [1, 2, -1, -3, 0, 127, 127, 127, -127]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_elements_that_are_not_finite_are_refused_with_their_place(bad: float) -> None:
    x = np.zeros((2, 3, 4))
    x[1, 2, 0] = bad
    with pytest.raises(ValueError, match=r"1 of 24 elements are not finite, the first .* at \(1, 2, 0\)"):
        quantise(x, dtype="int8", limit=127)


@pytest.mark.parametrize(
    ("shape", "limit", "message"),
    [((3,), 127, "shape"), ((0, 4), 127, "shape"), ((2, 2), 0, "limit"), ((2, 2), 128, "limit")],
)
def test_impossible_quantisations_are_refused(shape: tuple[int, ...], limit: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        quantise(np.ones(shape), dtype="int8", limit=limit)


@pytest.mark.parametrize("scale", [[0.0, 1.0], [-1.0, 1.0], [math.nan, 1.0], [1.0, 1.0, 1.0]])
def test_impossible_scales_are_refused(scale: list[float]) -> None:
    with pytest.raises(ValueError, match="scale"):
        apply_scale(np.ones((2, 3)), scale, dtype="int8", limit=127)


# ---- div_d


@pytest.mark.parametrize("dtype", DTYPES)
@given(seed=st.integers(0, 2**32), tokens=st.integers(1, 20), dim=st.sampled_from([1, 2, 7, 16, 128]))
def test_wrapping_attention_is_the_closed_form(dtype: str, seed: int, tokens: int, dim: int) -> None:
    limit = int(np.iinfo(dtype).max)
    data = samples.random_integers(seed, dtype=dtype, limit=limit, heads=1, queries=2, tokens=tokens, dim=dim)
    outputs = reference.attention_div_d(data.q, data.k[:, None], data.v[:, None], acc="wrap")
    assert outputs.dtype == dtype
    for query, row in zip(data.q[0], outputs[0], strict=True):
        assert row.tolist() == literal_div_d(query, data.k[0], data.v[0], BITS[dtype])


@pytest.mark.parametrize(("dtype", "expected"), [("int8", 0), ("int16", 4096), ("int32", 4096)])
def test_all_ones_reproduce_the_published_kernel(dtype: str, expected: int) -> None:
    ones = np.ones((4096, 128), dtype)
    assert (reference.attention_div_d(ones[0], ones, ones, acc="wrap") == expected).all()
    assert (reference.attention_div_d(ones[0], ones, ones, acc="wide") == 4096).all()


@pytest.mark.parametrize(("dtype", "limit"), [("int8", 127), ("int16", 32767), ("int32", 2**17)])
@given(seed=st.integers(0, 2**32), tokens=st.integers(1, 20), dim=st.sampled_from([1, 3, 32]))
def test_wide_attention_is_exact(dtype: str, limit: int, seed: int, tokens: int, dim: int) -> None:
    data = samples.random_integers(seed, dtype=dtype, limit=limit, heads=1, queries=1, tokens=tokens, dim=dim)
    outputs = reference.attention_div_d(data.q[0, 0], data.k[0], data.v[0], acc="wide")
    assert outputs.dtype == np.int64
    assert outputs.tolist() == literal_div_d(data.q[0, 0], data.k[0], data.v[0], None)
    error = np.abs(outputs - reference.float_div_d(data.q[0, 0], data.k[0], data.v[0]))
    assert (error <= bounds.div_d_bound(data.v[0], dim=dim) * (1 + 1e-12) + 1e-12 * limit**3).all()


@given(scores=hnp.arrays(np.int8, 20), dim=st.integers(1, 200))
def test_division_truncates_toward_zero(scores: NDArray[np.int8], dim: int) -> None:
    assert reference.div_d(scores, dim).tolist() == [int(s / dim) for s in scores.tolist()]
    assert reference.div_d(np.array([-(2**63)]), 1).tolist() == [-(2**63)]


def test_large_int32_scores_are_exact_and_refused_beyond() -> None:
    q = np.full(128, -(2**27), np.int32)
    assert reference.scores(q, q[None], acc="wide").tolist() == [2**61]
    q[0] -= 1
    assert reference.scores(q, q[None], acc="wide").tolist() == [sum(int(x) ** 2 for x in q)]
    full = np.full(128, -(2**31), np.int32)
    with pytest.raises(ranges.AccumulatorOverflow):
        reference.scores(full, full[None], acc="wide")
    assert reference.scores(full, full[None], acc="wrap").tolist() == [0]


# ---- softmax


@pytest.mark.parametrize("dtype", DTYPES)
def test_softmax_sums_are_those_of_python_integers(dtype: str) -> None:
    limit = ranges.largest_operand(dtype=dtype, norm="softmax", acc="wide", dim=16, max_tokens=50)
    data = samples.random_integers(3, dtype=dtype, limit=limit, heads=2, queries=3, tokens=50, dim=16)
    plan = softmax_plan(logit_scale=8 / (16 * limit**2), score_bound=16 * limit**2)
    sums = reference.attention_softmax(data.q, data.k[:, None], data.v[:, None], plan)
    maximum, weight_sum, weighted = sums
    assert [array.dtype.name for array in sums] == ["int64", "uint64", "int64"]
    for head, query in np.ndindex(2, 3):
        exact = [
            sum(a * b for a, b in zip(data.q[head, query].tolist(), row, strict=True)) for row in data.k[head].tolist()
        ]
        weights = reference.softmax_weights(np.array(exact), plan).tolist()
        assert maximum[head, query] == max(exact)
        assert weight_sum[head, query] == sum(weights)
        columns = zip(*data.v[head].tolist(), strict=True)
        assert weighted[head, query].tolist() == [
            sum(e * v for e, v in zip(weights, column, strict=True)) for column in columns
        ]


def test_equal_tokens_and_a_single_token_give_the_value_itself() -> None:
    k, v = np.full((5, 4), -128, np.int8), np.full((5, 4), 77, np.int8)
    plan = softmax_plan(logit_scale=0.01, score_bound=4 * 2**14)
    for tokens in (1, 2, 5):
        sums = reference.attention_softmax(k[0], k[:tokens], v[:tokens], plan)
        assert output.softmax_to_real(sums, v_scale=0.5).tolist() == [38.5] * 4


def test_operands_that_do_not_belong_together_are_refused() -> None:
    q, k = np.ones(4, np.int8), np.ones((3, 4), np.int8)
    plan = softmax_plan(logit_scale=1.0, score_bound=4)
    with pytest.raises(TypeError, match="one type"):
        reference.scores(q, k.astype(np.int16), acc="wrap")
    with pytest.raises(TypeError, match="int8, int16 or int32"):
        reference.scores(q.astype(np.float64), k, acc="wrap")
    with pytest.raises(ValueError, match="shapes"):
        reference.scores(q, k[:, :3], acc="wrap")
    with pytest.raises(ValueError, match="shapes"):
        reference.attention_softmax(q, k, k[:2], plan)
    with pytest.raises(ValueError, match=r"pass k\[:, None\]"):
        reference.scores(np.ones((2, 5, 4), np.int8), np.ones((2, 3, 4), np.int8), acc="wrap")
    with pytest.raises(ValueError, match="at least one token"):
        reference.attention_softmax(q, k[:0], k[:0], plan)
    with pytest.raises(TypeError, match="signed integer per score"):
        reference.scores(q, k, acc="wide", bias=np.zeros(3))
    with pytest.raises(ValueError, match=r"a bias of shape \(4,\)"):
        reference.scores(q, k, acc="wide", bias=np.zeros(4, np.int64))
    with pytest.raises(ValueError, match="at least one token"):
        reference.softmax_weights(np.zeros((2, 0), np.int64), plan)
    with pytest.raises(ValueError, match="head dimension"):
        reference.div_d(q, 0)


# ---- biases and missing tokens


@pytest.mark.parametrize("dtype", DTYPES)
@given(seed=st.integers(0, 2**32), tokens=st.integers(1, 20))
def test_a_bias_is_added_to_each_score(dtype: str, seed: int, tokens: int) -> None:
    data = samples.random_integers(seed, dtype=dtype, limit=100, heads=1, queries=3, tokens=tokens, dim=5)
    bias = np.random.default_rng(seed).integers(-(2**20), 2**20, (3, tokens))
    q, k, v = data.q[0], data.k, data.v
    plain, biased = (reference.scores(q, k, acc="wide", bias=added) for added in (None, bias))
    assert (biased.astype(np.int64) == plain.astype(np.int64) + bias).all()
    assert biased.dtype == plain.dtype
    wrapping = reference.scores(q, k, acc="wrap", bias=bias)
    assert wrapping.tolist() == [[wrapped(s, BITS[dtype]) for s in row] for row in biased.tolist()]
    outputs = reference.attention_div_d(q, k, v, acc="wide", bias=bias)
    assert outputs.tolist() == [
        [sum(int(s / 5) * x for s, x in zip(row, column, strict=True)) for column in v[0].T.tolist()]
        for row in biased.tolist()
    ]
    plan = softmax_plan(logit_scale=1e-5, score_bound=2**21)
    sums = reference.attention_softmax(q, k, v, plan, bias=bias)
    assert sums.maximum.tolist() == biased.max(axis=-1).tolist()
    assert sums.weight_sum.tolist() == reference.softmax_weights(biased, plan).sum(axis=-1).tolist()


def test_a_bias_must_leave_room_for_the_score() -> None:
    q = np.full(4, 100, np.int8)
    room = 2**31 - 1 - 40_000
    assert reference.scores(q, q[None], acc="wide", bias=np.array([room])).tolist() == [2**31 - 1]
    with pytest.raises(ranges.AccumulatorOverflow, match="bias"):
        reference.scores(q, q[None], acc="wide", bias=np.array([room + 1]))


def test_div_d_over_no_tokens_is_zero() -> None:
    q, none = np.ones((2, 4), np.int8), np.ones((2, 0, 4), np.int8)
    assert reference.attention_div_d(q, none, none, acc="wide").tolist() == [[0] * 4] * 2


def test_normalised_8_bit_probabilities_would_lose_a_long_context() -> None:
    """K6-neg: why weights stay unnormalised. Uniform attention over 4096 tokens has p = 2**-12."""
    k, v = np.zeros((4096, 4), np.int8), np.full((4096, 4), 100, np.int8)
    sums = reference.attention_softmax(k[0], k, v, softmax_plan(logit_scale=1.0, score_bound=1))
    assert output.softmax_to_real(sums, v_scale=1.0).tolist() == [100.0] * 4
    probabilities = np.round(2**8 * 2**24 / float(sums.weight_sum)) * np.ones(4096)
    assert (probabilities @ v == 0).all()


# ---- real numbers


def test_div_d_outputs_carry_three_scales() -> None:
    outputs = np.array([[[10, -20]], [[1, 2]]])
    real = output.div_d_to_real(outputs, q_scale=[0.5, 1.0], k_scale=[2.0, 3.0], v_scale=[0.25, 1.0])
    assert real.tolist() == [[[2.5, -5.0]], [[3.0, 6.0]]]


def test_relative_l2_is_per_head() -> None:
    wanted = np.array([[[3.0], [4.0]], [[0.0], [0.0]], [[0.0], [0.0]]])
    given_outputs = np.array([[[3.0], [4.5]], [[0.0], [0.0]], [[0.0], [1.0]]])
    assert output.relative_l2(given_outputs, wanted).tolist() == [0.1, 0.0, math.inf]
    with pytest.raises(ValueError, match="queries, dim"):
        output.relative_l2(wanted, wanted[0])


@pytest.fixture(scope="module")
def real_operands() -> samples.RealOperands:
    return samples.shipped_operands()


@pytest.fixture(scope="module")
def real_outputs(real_operands: samples.RealOperands) -> NDArray[np.float64]:
    return reference.float_attention(
        real_operands.q, real_operands.k[:, None], real_operands.v[:, None], scale=1 / math.sqrt(32)
    )


@pytest.mark.parametrize(
    ("dtype", "mean_limit", "worst_limit"), [("int8", 1.6e-2, 2.6e-2), ("int16", 1e-4, 2e-4), ("int32", 2e-6, 4e-6)]
)
def test_quantised_attention_of_real_activations(
    real_operands: samples.RealOperands,
    real_outputs: NDArray[np.float64],
    dtype: str,
    mean_limit: float,
    worst_limit: float,
) -> None:
    limit = ranges.largest_operand(dtype=dtype, norm="softmax", acc="wide", dim=32, max_tokens=384)
    scale = 1 / math.sqrt(32)
    outputs, bound = np.empty_like(real_outputs), np.empty_like(real_outputs)
    for head in range(len(outputs)):
        q, k, v = (
            quantise(x[head], dtype=dtype, limit=limit) for x in (real_operands.q, real_operands.k, real_operands.v)
        )
        plan = softmax_plan(logit_scale=float(q.scale * k.scale) * scale, score_bound=32 * limit**2)
        sums = reference.attention_softmax(q.values, k.values[None], v.values[None], plan)
        outputs[head] = output.softmax_to_real(sums, v_scale=v.scale)
        bound[head] = bounds.quantised_attention_bound(
            q, k, v, scale=scale, weight_sum=sums.weight_sum, probability_bits=plan.probability_bits
        )
    error = output.relative_l2(outputs, real_outputs)
    assert error.mean() <= mean_limit
    assert error.max() <= worst_limit
    assert (np.abs(outputs - real_outputs) <= bound).all()


def test_bound_of_many_heads_is_that_of_each_head() -> None:
    data = samples.random_reals(5, heads=3, queries=4, tokens=6, dim=8)
    q, k, v = (quantise(x, dtype="int8", limit=127) for x in (data.q, data.k, data.v))
    weight_sum = np.full((3, 4), 2**25, np.uint64)
    together = bounds.quantised_attention_bound(q, k, v, scale=0.3, weight_sum=weight_sum, probability_bits=24)
    for head in range(3):
        one = (Quantised(values=x.values[head], scale=x.scale[head]) for x in (q, k, v))
        alone = bounds.quantised_attention_bound(*one, scale=0.3, weight_sum=weight_sum[head], probability_bits=24)
        assert together[head].tolist() == alone.tolist()


def test_float_softmax_subtracts_narrow_and_large_integers_exactly() -> None:
    v = np.array([[0.0], [1.0]])
    narrow = reference.float_softmax(np.array([-128, 127], np.int8), v, logit_scale=1 / 255)
    large = reference.float_softmax(np.array([2**61, 2**61 + 1]), v, logit_scale=1.0)
    assert narrow == pytest.approx(1 / (1 + math.exp(-1)), rel=1e-12)
    assert large == pytest.approx(1 / (1 + math.exp(-1)), rel=1e-12)
