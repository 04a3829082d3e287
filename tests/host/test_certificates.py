"""Certificates against float64 on adversarial contexts: they hold for every norm, given sums and statistics only."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from dpu_kernels.attention.exponential import Exponential
from host.attention import merge, online, reference, zscore
from host.attention.certificates import Arithmetic, certificate, div_d_certificate
from host.attention.output import sums_to_real
from host.attention.partition import Partition
from host.attention.softmax_plan import SoftmaxPlan, softmax_plan
from host.attention.sums import OnlineSums, SoftmaxSums
from host.attention.value_statistics import ValueStatistics

pytestmark = pytest.mark.quick

Integers = NDArray[np.int8]
Context = tuple[Integers, Integers, Integers]
FLOAT64_SLACK = 1e-12  # of sum |v|: rounding of the float64 references themselves
LENGTHS = (1, 2, 3, 7, 8, 9, 17, 200)


def _random(tokens: int, generator: np.random.Generator) -> Context:
    return tuple(generator.integers(-128, 128, shape, np.int8) for shape in ((16,), (tokens, 16), (tokens, 16)))  # type: ignore[return-value]


def _all_equal(tokens: int, generator: np.random.Generator) -> Context:
    q, k, v = _random(tokens, generator)
    k[:] = k[0]
    return q, k, v


def _one_hot(tokens: int, generator: np.random.Generator) -> Context:
    q, k, v = (np.zeros_like(x) for x in _random(tokens, generator))
    q[:], k[tokens // 2], v[:] = 127, 127, -128
    v[tokens // 2] = 127
    return q, k, v


def _alternating(tokens: int, generator: np.random.Generator) -> Context:
    q, k, v = _random(tokens, generator)
    q[:], k[::2], k[1::2], v[::2], v[1::2] = 127, 127, -128, -128, 127
    return q, k, v


def _all_lowest(tokens: int, generator: np.random.Generator) -> Context:
    return tuple(np.full_like(x, -128) for x in _random(tokens, generator))  # type: ignore[return-value]


def _zero_values(tokens: int, generator: np.random.Generator) -> Context:
    q, k, v = _random(tokens, generator)
    return q, k, np.zeros_like(v)


def _rising(tokens: int, generator: np.random.Generator) -> Context:
    q, k, v = _random(tokens, generator)
    q[:], k[:], k[:, 0] = 0, 0, np.linspace(-128, 127, tokens)
    q[0] = 127
    return q, k, v


CONTEXTS = (_random, _all_equal, _one_hot, _alternating, _all_lowest, _zero_values, _rising)
contexts = pytest.mark.parametrize("context", CONTEXTS, ids=lambda f: f.__name__)
Maker = Callable[[int, np.random.Generator], Context]
LOGIT_SCALES = (1e-9, 1e-4, 1e-2, 10.0)  # tiny to huge beside scores of up to 2**18


def made(context: Maker, tokens: int) -> Context:
    return context(tokens, np.random.default_rng(tokens))


def exact_scores(q: Integers, k: Integers) -> NDArray[np.int64]:
    return k.astype(np.int64) @ q.astype(np.int64)


def worst_share(errors: NDArray[np.float64], limits: NDArray[np.float64], v: Integers) -> float:
    slack = FLOAT64_SLACK * (1 + np.abs(v.astype(np.float64)).sum(axis=0))
    return float((np.abs(errors) / (limits + slack)).max())


def filled_parts(k: Integers, v: Integers, partition: Partition) -> list[tuple[Integers, Integers]]:
    """K and V of every part that has tokens."""
    placement = partition.over(len(k))
    parts = zip(placement.split_rows(k, 0), placement.split_rows(v, 0), strict=True)
    return [(part_k.rows, part_v.rows) for part_k, part_v in parts if len(part_k.rows)]


def plan_for(logit_scale: float, exponential: Exponential = "lut256_lerp", bits: int = 24) -> SoftmaxPlan:
    return softmax_plan(
        logit_scale=logit_scale, score_bound=2**18, probability_bits=bits, octaves=30, exponential=exponential
    )


@contexts
def test_div_d(context: Maker) -> None:
    for tokens in LENGTHS:
        q, k, v = made(context, tokens)
        error = reference.attention_div_d(q, k, v, acc="wide") - reference.float_div_d(q, k, v)
        assert worst_share(error, div_d_certificate(ValueStatistics.of(v), dim=16), v) <= 1


@contexts
@pytest.mark.parametrize("exponential", ["lut256_lerp", "lut256_mid", "lut256_floor", "poly2", "poly3", "iexp"])
def test_softmax(context: Maker, exponential: Exponential) -> None:
    for tokens in LENGTHS:
        q, k, v = made(context, tokens)
        for logit_scale in LOGIT_SCALES:
            sums = reference.attention_softmax(q, k, v, plan_for(logit_scale, exponential))
            error = sums_to_real(sums, v_scale=1.0) - reference.float_softmax(
                exact_scores(q, k), v, logit_scale=logit_scale
            )
            limits = certificate(sums, ValueStatistics.of(v), Arithmetic(exponential=exponential))
            assert worst_share(error, limits, v) <= 1


@contexts
@pytest.mark.parametrize("bits", [8, 24])
@pytest.mark.parametrize("exponential", ["lut256_lerp", "lut256_mid"])
def test_online_softmax_on_several_parts(context: Maker, exponential: Exponential, bits: int) -> None:
    for tokens in LENGTHS:
        q, k, v = made(context, tokens)
        for logit_scale in LOGIT_SCALES:
            plan, parts = plan_for(logit_scale, exponential, bits), filled_parts(k, v, Partition(3, "interleave"))
            sums = [online.attention_online(q, *part, plan, workers=2) for part in parts]
            merged = merge.merge_online(OnlineSums(*map(np.stack, zip(*sums, strict=True))), (plan,))
            error = sums_to_real(merged, v_scale=1.0) - reference.float_softmax(
                exact_scores(q, k), v, logit_scale=logit_scale
            )
            how = Arithmetic(probability_bits=bits, exponential=exponential, workers=2, parts=3)
            assert worst_share(error, certificate(merged, ValueStatistics.of(v), how), v) <= 1


@contexts
@pytest.mark.parametrize("bits", [8, 24])
def test_merged_softmax(context: Maker, bits: int) -> None:
    for tokens in LENGTHS:
        q, k, v = made(context, tokens)
        for logit_scale in LOGIT_SCALES:
            plan = plan_for(logit_scale, bits=bits)
            sums = [reference.attention_softmax(q, *part, plan) for part in filled_parts(k, v, Partition(4))]
            merged = merge.merge_softmax(SoftmaxSums(*map(np.stack, zip(*sums, strict=True))), (plan,))
            error = sums_to_real(merged, v_scale=1.0) - reference.float_softmax(
                exact_scores(q, k), v, logit_scale=logit_scale
            )
            how = Arithmetic(probability_bits=bits, parts=4)
            assert worst_share(error, certificate(merged, ValueStatistics.of(v), how), v) <= 1


@contexts
def test_zscore(context: Maker) -> None:
    for tokens in LENGTHS:
        q, k, v = made(context, tokens)
        sums = zscore.attention_zscore(q, k, v)
        error = sums_to_real(sums, v_scale=1.0) - zscore.float_zscore(exact_scores(q, k), v)
        limits = certificate(sums, ValueStatistics.of(v), Arithmetic(score_bound=2**18))
        assert worst_share(error, limits, v) <= 1


@contexts
def test_linear_zscore(context: Maker) -> None:
    """To 1e-10 of float64, which is worse than the integers here: the certificate only has the last roundings."""
    for tokens in LENGTHS:
        q, k, v = made(context, tokens)
        sums = zscore.attention_linear(q, k, v)
        outputs = sums_to_real(sums, v_scale=1.0)
        exact_error = outputs - _linear_to_many_digits(exact_scores(q, k), v)
        assert (np.abs(exact_error) <= certificate(sums, ValueStatistics.of(v), Arithmetic())).all()
        error = np.abs(outputs - zscore.float_zscore(exact_scores(q, k), v))
        assert (error <= 1e-10 * np.abs(v.astype(np.float64)).sum(axis=0)).all()


def _linear_to_many_digits(scores: NDArray[np.int64], v: Integers) -> NDArray[np.float64]:
    """(n A - S1 B) / sqrt(n S2 - S1**2), the quotient to 80 bits in integers before its one rounding to float64."""
    s, rows, n = [int(x) for x in scores], v.astype(int).tolist(), len(scores)
    radicand = n * sum(x * x for x in s) - sum(s) ** 2
    if not radicand:
        return np.zeros(v.shape[1])
    root = math.isqrt(radicand << 400)
    columns = zip(*rows, strict=True)
    numerators = [n * sum(a * b for a, b in zip(s, column, strict=True)) - sum(s) * sum(column) for column in columns]
    return np.array([float((x << 280) // root) * 2.0**-80 for x in numerators])


def test_certificates_of_what_a_mask_leaves_hold_with_statistics_of_everything() -> None:
    q, k, v = made(_random, 200)
    plan = plan_for(1e-2)
    sums = reference.attention_softmax(q, k[150:], v[150:], plan)
    narrow, wide = (certificate(sums, ValueStatistics.of(x), Arithmetic()) for x in (v[150:], v))
    assert (wide >= narrow).all()


def test_a_query_without_tokens_is_certain() -> None:
    values = ValueStatistics.of(np.array([[5, -5]]))
    nothing = SoftmaxSums(np.array(0), np.array(0, np.uint64), np.zeros(2, np.int64))
    assert np.isfinite(certificate(nothing, values, Arithmetic())).all()
    assert sums_to_real(nothing, v_scale=1.0).tolist() == [0, 0]


def test_statistics_broadcast_from_kv_heads_to_query_heads() -> None:
    generator = np.random.default_rng(1)
    q, k, v = (generator.integers(-128, 128, shape, np.int8) for shape in ((2, 6, 4), (2, 3, 9, 4), (2, 3, 9, 4)))
    plan = plan_for(1e-2)
    sums = reference.attention_softmax(q, np.repeat(k, 2, axis=1), np.repeat(v, 2, axis=1), plan)
    bound = certificate(sums, ValueStatistics.of(v).for_query_heads(2), Arithmetic())
    assert bound.shape == (2, 6, 4)
    alone = certificate(SoftmaxSums(*(x[1, 5] for x in sums)), ValueStatistics.of(v[1, 2]), Arithmetic())
    assert (bound[1, 5] == alone).all()


@given(
    v=hnp.arrays(st.sampled_from([np.int8, np.int16, np.int32]), st.tuples(st.integers(2, 12), st.just(3))),
    cut=st.integers(1, 11),
)
def test_statistics_grow_as_the_context_does(v: NDArray[np.signedinteger], cut: int) -> None:
    whole = ValueStatistics.of(v)
    wide = v.astype(np.int64)
    assert whole.minimum.tolist() == wide.min(axis=0).tolist()
    assert whole.maximum.tolist() == wide.max(axis=0).tolist()
    assert whole.magnitude_sum.tolist() == np.abs(wide).sum(axis=0).tolist()
    assert whole.spread.tolist() == np.ptp(wide, axis=0).tolist()
    assert whole.largest.tolist() == np.abs(wide).max(axis=0).tolist()
    cut = min(cut, len(v) - 1)
    grown = ValueStatistics.of(v[:cut]).extended(v[cut:])
    for name in ("minimum", "maximum", "magnitude_sum", "tokens"):
        assert np.array_equal(getattr(grown, name), getattr(whole, name))


def test_statistics_of_what_is_no_context_are_refused() -> None:
    one = ValueStatistics.of(np.ones((2, 4, 3), np.int8))
    with pytest.raises(ValueError, match="must agree"):
        one.extended(np.ones((1, 4, 3), np.int8))
    with pytest.raises(ValueError, match="token or more"):
        ValueStatistics.of(np.ones((0, 3), np.int8))
    with pytest.raises(TypeError, match="float64"):
        ValueStatistics.of(np.ones((2, 3)))
