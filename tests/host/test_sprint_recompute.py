"""Attention over survivors: the dense kernel's bits on what is kept, the pruned mass, bounds, the ablation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from host.attention.certificates import Arithmetic
from host.attention.output import softmax_to_real
from host.attention.quantise import quantise
from host.attention.reference import attention_softmax, float_softmax
from host.attention.samples import shipped_operands
from host.attention.softmax_plan import softmax_plan
from host.sprint.accuracy import certified_bound, dense_outputs, pruned_mass
from host.sprint.calibration import quantile_threshold
from host.sprint.pruning import InMemoryPruning
from host.sprint.recompute import attend
from host.sprint.scores import AnalogFormat, approximate_scores, exact_scores
from host.sprint.thresholding import Thresholder

pytestmark = pytest.mark.quick

few_examples = settings(max_examples=40)  # of many queries each
SLACK = 1e-11  # rounding of the float64 reference, for |v| <= 128


@st.composite
def sparse(draw):
    """Queries, keys, values, a mask and a logit scale."""
    dim, queries, tokens = draw(st.integers(1, 8)), draw(st.integers(1, 4)), draw(st.integers(1, 9))
    q, k, v = (draw(hnp.arrays(np.int8, (rows, dim))) for rows in (queries, tokens, tokens))
    keep = draw(hnp.arrays(np.bool_, (queries, tokens)))
    return q, k, v, keep, 2.0 ** -draw(st.integers(0, 20))


def plan_for(dim: int, scale: float, probability_bits: int = 24):
    return softmax_plan(logit_scale=scale, score_bound=dim * 128**2, probability_bits=probability_bits)


@few_examples
@given(case=sparse(), probability_bits=st.integers(8, 30))
def test_survivors_have_the_bits_of_the_dense_kernel_on_them_alone(case, probability_bits: int) -> None:
    q, k, v, keep, scale = case
    found = attend(q, k, v, keep, logit_scale=scale, probability_bits=probability_bits)
    for i, kept in enumerate(keep):
        ours = [array[i].tolist() for array in found.sums]
        if kept.any():
            plan = plan_for(q.shape[-1], scale, probability_bits)
            alone = attention_softmax(q[i], k[kept], v[kept], plan)
            assert ours == [array.tolist() for array in alone]
            assert found.outputs[i].tolist() == softmax_to_real(alone, v_scale=1.0).tolist()
        else:
            assert ours == [0, 0, [0] * q.shape[-1]]


@few_examples
@given(case=sparse())
def test_keeping_all_is_dense_attention(case) -> None:
    q, k, v, _, scale = case
    everything = InMemoryPruning(theta=-np.inf).select(q, k).keep
    found = attend(q, k, v, everything, logit_scale=scale)
    dense = attention_softmax(q, k[None], v[None], plan_for(q.shape[-1], scale))
    assert all(np.array_equal(ours, theirs) for ours, theirs in zip(found.sums, dense, strict=True))
    assert not found.pruned_mass.any()


@few_examples
@given(
    case=sparse(), recompute=st.sampled_from(["exact", "approximate"]), levels=st.sampled_from(["floor", "mid_rise"])
)
def test_errors_are_within_the_bound(case, recompute, levels) -> None:
    q, k, v, keep, scale = case
    found = attend(q, k, v, keep, logit_scale=scale, recompute=recompute, analog=AnalogFormat(levels=levels))
    error = np.abs(found.outputs - dense_outputs(q, k, v, logit_scale=scale))
    assert (error <= found.bound + SLACK).all()
    spread = np.ptp(v.astype(int), axis=0)
    assert (found.bound[keep.any(axis=-1)] <= 2.0001 * spread + SLACK).all()


@few_examples
@given(case=sparse())
def test_dense_outputs_are_those_of_the_float_reference(case) -> None:
    q, k, v, _, scale = case
    expected = float_softmax(exact_scores(q, k), v[None], logit_scale=scale)
    assert dense_outputs(q, k, v, logit_scale=scale) == pytest.approx(expected, abs=SLACK)


def test_pruned_mass_of_a_small_case() -> None:
    scores = np.array([[0, 0, 1], [5, 5, 5]])
    keep = np.array([[True, False, True], [False, False, False]])
    mass = pruned_mass(scores, keep, logit_scale=np.log(2))
    assert mass == pytest.approx([1 / 4, 1.0])
    tiny = pruned_mass(np.array([[0, 700]]), np.array([[False, True]]), logit_scale=1.0)
    assert tiny == pytest.approx(np.exp(-700.0), rel=1e-12)  # not 1 minus what is kept


def test_pruning_by_theta_is_within_the_bound_by_theta() -> None:
    """B-6: every pruned token has s < theta, so pi <= pruned exp(c (theta - m)) / l."""
    rng = np.random.default_rng(5)
    q, k = rng.integers(-128, 128, (20, 16), np.int8), rng.integers(-128, 128, (60, 16), np.int8)
    scores, scale = exact_scores(q, k), 2e-5
    theta = 20_000
    keep = scores >= theta
    top = scores.max(axis=-1, keepdims=True)
    total = np.exp(scale * (scores - top)).sum(axis=-1)
    bound = np.count_nonzero(~keep, axis=-1) * np.exp(scale * (theta - top[:, 0])) / total
    assert (pruned_mass(scores, keep, logit_scale=scale) <= bound).all()


@few_examples
@given(
    case=sparse(),
    theta=st.one_of(st.integers(-(2**17), 2**17), st.just(-np.inf), st.just(np.inf)),
    bits=st.integers(8, 30),
)
def test_certified_selections_bound_their_error_without_the_pruned_tokens(case, theta, bits) -> None:
    q, k, v, _, scale = case
    thresholder = Thresholder(offset="conservative")
    for when_all_pruned in ("keep_best", "keep_none"):
        pruning = InMemoryPruning(theta=theta, thresholder=thresholder, when_all_pruned=when_all_pruned)
        keep = pruning.select(q, k).keep
        found = attend(q, k, v, keep, logit_scale=scale, probability_bits=bits)
        arithmetic = Arithmetic(probability_bits=bits)
        bound = certified_bound(found.sums, v, keep, theta=theta, logit_scale=scale, arithmetic=arithmetic)
        assert (np.abs(found.outputs - dense_outputs(q, k, v, logit_scale=scale)) <= bound + SLACK).all()
        assert (found.bound <= bound + SLACK).all()  # which knows what was pruned


def test_a_low_threshold_certifies_a_small_error() -> None:
    rng = np.random.default_rng(7)
    q, k, v = (rng.integers(-128, 128, (rows, 32), np.int8) for rows in (10, 50, 50))
    scores, scale = exact_scores(q, k), 1e-3
    theta = scores.max(axis=-1) - 20 / scale  # logits of 20 below the largest
    keep = InMemoryPruning(theta=theta, thresholder=Thresholder(offset="conservative")).select(q, k).keep
    found = attend(q, k, v, keep, logit_scale=scale)
    bound = certified_bound(found.sums, v, keep, theta=theta, logit_scale=scale, arithmetic=Arithmetic())
    assert not keep.all()
    assert bound.max() < 1e-5 * 255  # of which the most is the arithmetic of the kernel
    with pytest.raises(ValueError, match="positive and finite"):
        certified_bound(found.sums, v, keep, theta=theta, logit_scale=-1.0, arithmetic=Arithmetic())


def test_heads_have_their_own_scales_and_share_keys() -> None:
    rng = np.random.default_rng(6)
    q, k, v = (rng.integers(-128, 128, shape, np.int8) for shape in ((2, 3, 4, 8), (2, 1, 6, 8), (2, 1, 6, 8)))
    keep = rng.random((2, 3, 4, 6)) < 0.5
    scales = 10.0 ** -rng.uniform(3, 5, (2, 3))
    found = attend(q, k, v, keep, logit_scale=scales)
    for h, g in np.ndindex(2, 3):
        one = attend(q[h, g], k[h, 0], v[h, 0], keep[h, g], logit_scale=scales[h, g])
        assert np.array_equal(found.outputs[h, g], one.outputs)
        assert np.array_equal(found.bound[h, g], one.bound)
        assert np.array_equal(found.pruned_mass[h, g], one.pruned_mass)


def test_real_heads_stay_within_their_bounds_and_recomputation_helps() -> None:
    real = shipped_operands()
    q, k, v = (quantise(x[::12], dtype="int8", limit=127) for x in (real.q[:, :64], real.k, real.v))
    scale = q.scale * k.scale / np.sqrt(real.q.shape[-1])
    dense = dense_outputs(q.values, k.values, v.values, logit_scale=scale)
    analog = AnalogFormat(levels="mid_rise")
    theta = quantile_threshold(approximate_scores(q.values, k.values, analog), 0.133)
    keep = InMemoryPruning(theta=theta, thresholder=Thresholder(analog=analog)).select(q.values, k.values).keep
    errors = {}
    for recompute in ("exact", "approximate"):
        found = attend(q.values, k.values, v.values, keep, logit_scale=scale, recompute=recompute, analog=analog)
        errors[recompute] = np.abs(found.outputs - dense)
        assert (errors[recompute] <= found.bound + SLACK).all()
    assert np.square(errors["exact"]).sum() < np.square(errors["approximate"]).sum()


def test_a_query_without_survivors_has_the_output_0() -> None:
    q, k = np.ones((2, 4), np.int8), np.ones((3, 4), np.int8)
    v = np.array([[-7, 0, 1, 2], [5, 0, 1, 2], [6, 0, 1, -128]], np.int8)
    keep = np.array([[False] * 3, [True] * 3])
    found = attend(q, k, v, keep, logit_scale=0.01)
    assert found.outputs[0].tolist() == [0.0] * 4
    assert found.bound[0].tolist() == [7.0, 0.0, 1.0, 128.0]
    assert found.pruned_mass.tolist() == [1.0, 0.0]


ONE = np.zeros((1, 4), np.int8)
KEEP = np.ones((1, 1), np.bool_)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"recompute": "none"}, ValueError, "recompute = 'none': choose one of exact, approximate"),
        ({"logit_scale": 0.0}, ValueError, "positive and finite"),
        ({"logit_scale": [1.0, 2.0]}, ValueError, r"logit_scale has shape \(2,\) for heads \(\)"),
        ({"keep": KEEP.astype(int)}, TypeError, "keep is int64: it is bool"),
        ({"keep": np.ones((1, 2), np.bool_)}, ValueError, r"keep has shape \(1, 2\): it must be \(1, 1\)"),
        ({"values": np.zeros((2, 4), np.int8)}, ValueError, "tokens and dim must be the same"),
        ({"values": np.zeros((1, 4))}, TypeError, "values are float64"),
        ({"keys": ONE[:0], "values": ONE[:0]}, ValueError, "there is none of tokens"),
        ({"probability_bits": 31}, ValueError, "probability_bits = 31"),
    ],
)
def test_attention_that_cannot_be(arguments, error, message: str) -> None:
    given_arguments = {"queries": ONE, "keys": ONE, "values": ONE, "keep": KEEP, "logit_scale": 1.0, **arguments}
    with pytest.raises(error, match=message):
        attend(**given_arguments)
