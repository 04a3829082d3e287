"""Online softmax (K-8): the literal steps in Python integers, its bound, and where it equals the three-phase form."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from host.attention.exponential import RELATIVE_ERROR, Exponential, power_of_two
from host.attention.online import attention_online, join, rescaled
from host.attention.ranges import AccumulatorOverflow
from host.attention.reference import attention_softmax, float_softmax
from host.attention.softmax_plan import SoftmaxPlan, softmax_plan

VARIANTS = tuple(RELATIVE_ERROR)
State = tuple[int, int, list[int], int]


def literal_online(scores: list[int], v: list[list[int]], plan: SoftmaxPlan, workers: int, first_token: int) -> State:
    """K-8 token by token with unbounded integers, for one query."""

    def rsh(a: int, s: int) -> int:
        return (a + (1 << (s - 1))) >> s if s > 0 else a

    def weight(difference: int, bits: int) -> int:
        if difference > plan.max_difference:
            return 0
        t = rsh(rsh(difference, plan.pre_shift) * plan.multiplier, plan.shift)
        n, u = t >> 16, t & 65535
        y = int(power_of_two(np.array([u]), plan.exponential, plan.table)[0])
        return 0 if n > bits + 1 else rsh(y, 30 - bits + n)

    states: dict[int, State] = {}
    for j, (score, row) in enumerate(zip(scores, v, strict=True)):
        worker = ((first_token + j) // 8 - first_token // 8) % workers
        m, l, o, r = states.get(worker, (score, 0, [0] * len(row), 0))  # noqa: E741
        if score > m:
            w = weight(score - m, 30)
            m, l, o, r = score, rsh(l * w, 30), [rsh(x * w, 30) for x in o], r + 1  # noqa: E741
        e = weight(m - score, plan.probability_bits)
        states[worker] = (m, l + e, [x + e * y for x, y in zip(o, row, strict=True)], r)
    merged: State | None = None
    for worker in range(workers):
        if worker not in states:
            continue
        if merged is None:
            merged = states[worker]
            continue
        top = max(merged[0], states[worker][0])
        sides = []
        for m, l, o, r in (merged, states[worker]):  # noqa: E741
            w = weight(top - m, 30) if top > m else 2**30
            sides.append((rsh(l * w, 30), [rsh(x * w, 30) for x in o], r + (w != 2**30)))
        (l0, o0, r0), (l1, o1, r1) = sides
        merged = (top, l0 + l1, [x + y for x, y in zip(o0, o1, strict=True)], max(r0, r1))
    assert merged is not None
    return merged


def online_bound(v: NDArray[Any], *, weight_sum: float, rescales: int, plan: SoftmaxPlan) -> NDArray[np.float64]:
    """K-8's bound of |O / l - o|; never more than the range of v and what rounding sums adds."""
    bits, tokens = plan.probability_bits, len(v)
    total = weight_sum * 2.0**-bits
    # The constants serve 30 octaves, so both kinds of weights have the relative error of 30 bits.
    rho = RELATIVE_ERROR[plan.exponential] + math.log(2) * (2.0**-17 + (plan.octaves + 2) * 2.0**-30)
    share = rho + rescales * (rho + tokens * 2.0**-31 / total) + tokens * 2.0 ** -(bits + 1) / total
    values = v.astype(np.float64)
    span = values.max(axis=0) - values.min(axis=0)
    sums = rescales * 2.0 ** -(bits + 1) * (1 + np.abs(values).max(axis=0)) / total
    result: NDArray[np.float64] = span * np.minimum(1.0, share) + sums
    return result


def keys_for(scores: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """q [2] and k [tokens, 2] whose scores are the ones wanted, of up to 42 bits."""
    low = scores & (2**20 - 1)
    return np.array([2**20, 1], np.int32), np.stack([(scores - low) >> 20, low], axis=-1).astype(np.int32)


# ---- the integer steps


@given(st.integers(-(2**63), 2**63 - 1), st.integers(0, 2**30))
@example(-(2**63), 2**30)
@example(2**63 - 1, 2**30)
@example(2**63 - 1, 2**30 - 1)
@example(-(2**63), 1)
def test_rescaling_is_exact_for_every_sum(total: int, weight: int) -> None:
    exact = (total * weight + 2**29) >> 30
    assert rescaled(np.array([total]), np.array([weight])).tolist() == [exact]
    assert abs(exact) <= abs(total)  # so that rescaled sums keep their range


@settings(deadline=None)
@given(
    scores=st.lists(st.integers(-3000, 3000), min_size=1, max_size=70),
    workers=st.integers(1, 6),
    first_token=st.integers(0, 20),
    probability_bits=st.sampled_from([8, 24, 30]),
    variant=st.sampled_from(VARIANTS),
    seed=st.integers(0, 2**32),
)
def test_sums_are_those_of_the_literal_steps(
    scores: list[int], workers: int, first_token: int, probability_bits: int, variant: Exponential, seed: int
) -> None:
    plan = softmax_plan(
        logit_scale=0.004, score_bound=3000, probability_bits=probability_bits, octaves=30, exponential=variant
    )
    q, k = keys_for(np.array(scores))
    v = np.random.default_rng(seed).integers(-(2**20), 2**20, (len(scores), 2)).astype(np.int32)
    sums = attention_online(q, k, v, plan, workers=workers, first_token=first_token)
    assert [array.dtype.name for array in sums] == ["int64", "uint64", "int64", "int64"]
    found = (int(sums.maximum), int(sums.weight_sum), sums.weighted_values.tolist(), int(sums.rescales))
    assert found == literal_online(scores, v.tolist(), plan, workers, first_token)


def test_sums_at_the_limit_agree_with_python_integers() -> None:
    tokens, largest = 64, 2**27 - 1
    plan = softmax_plan(logit_scale=1e-9, score_bound=2**42, probability_bits=30, octaves=30)
    scores = (np.arange(tokens) % 5 + np.arange(tokens)) * 1000
    q, k = keys_for(scores)
    v = np.full((tokens, 2), largest, np.int32)
    v[:, 1] = -largest
    sums = attention_online(q, k, v, plan, workers=3)
    found = (int(sums.maximum), int(sums.weight_sum), sums.weighted_values.tolist(), int(sums.rescales))
    assert found == literal_online(scores.tolist(), v.tolist(), plan, 3, 0)
    assert abs(found[2][0]) > 2**62.9
    with pytest.raises(AccumulatorOverflow, match="outputs of int32 softmax_online"):
        attention_online(q, k, v + np.array([1, 0], np.int32), plan, workers=3)


def test_falling_scores_of_one_worker_need_no_rescaling() -> None:
    plan = softmax_plan(logit_scale=0.001, score_bound=2**20, octaves=30)
    q, k = keys_for(-7 * np.arange(100))
    v = np.random.default_rng(3).integers(-100, 100, (100, 2)).astype(np.int32)
    online, three_phases = attention_online(q, k, v, plan, workers=1), attention_softmax(q, k, v, plan)
    assert online.rescales == 0
    assert [field.tolist() for field in online[:3]] == [field.tolist() for field in three_phases]


def test_rising_scores_rescale_at_every_token_and_a_merge_counts_once_more() -> None:
    plan = softmax_plan(logit_scale=0.001, score_bound=2**20, octaves=30)
    q, k = keys_for(7 * np.arange(16))
    v = np.ones((16, 2), np.int32)
    assert attention_online(q, k, v, plan, workers=1).rescales == 15
    assert attention_online(q, k, v, plan, workers=2).rescales == 8  # 7 in each worker, and the older one once more
    assert attention_online(q, k, v, plan, workers=2, first_token=4).rescales == 8


@pytest.mark.parametrize("variant", VARIANTS)
def test_sides_with_the_same_maximum_are_added_as_they_are(variant: Exponential) -> None:
    plan = softmax_plan(logit_scale=0.001, score_bound=2**20, octaves=30, exponential=variant)
    q, k = keys_for(np.array([50, 40, 50]))
    v = np.array([[3, -4], [5, 6], [-7, 8]], np.int32)
    one = attention_online(q, k, v, plan, workers=1)
    both = join(one, one, plan)
    assert both.rescales == one.rescales
    assert both.weight_sum == 2 * one.weight_sum
    assert both.weighted_values.tolist() == (2 * one.weighted_values).tolist()


def test_workers_beyond_the_groups_change_nothing() -> None:
    plan = softmax_plan(logit_scale=0.001, score_bound=2**20, octaves=30)
    random = np.random.default_rng(4)
    q, k = keys_for(random.integers(-5000, 5000, 20))
    v = random.integers(-100, 100, (20, 2)).astype(np.int32)
    three, many = (attention_online(q, k, v, plan, workers=workers) for workers in (3, 23))
    assert [field.tolist() for field in three] == [field.tolist() for field in many]


def test_leading_axes_are_queries_on_their_own() -> None:
    plan = softmax_plan(logit_scale=0.0001, score_bound=10**6, octaves=30)
    random = np.random.default_rng(5)
    q, k, v = (random.integers(-100, 100, shape).astype(np.int8) for shape in ((2, 3, 4), (2, 1, 30, 4), (2, 1, 30, 4)))
    bias = random.integers(-1000, 1000, (3, 30))
    together = attention_online(q, k, v, plan, workers=2, bias=bias)
    for head, query in np.ndindex(2, 3):
        alone = attention_online(q[head, query], k[head, 0], v[head, 0], plan, workers=2, bias=bias[query])
        assert [field.tolist() for field in alone] == [field[head, query].tolist() for field in together]


# ---- the bound


@pytest.mark.parametrize("variant", ["lut256_lerp", "poly3", "iexp"])
@pytest.mark.parametrize("logit_scale", [1e-7, 1e-3, 0.05, 10.0])
def test_outputs_are_within_the_bound(variant: Exponential, logit_scale: float) -> None:
    worst = 0.0
    for tokens in (1, 2, 3, 7, 8, 9, 17, 200, 500):
        random = np.random.default_rng(tokens)
        inventory = {
            "random": random.integers(-3000, 3000, tokens),
            "equal": np.full(tokens, -3000),
            "rising": np.arange(tokens) * 3,
            "falling": -np.arange(tokens) * 3,
            "one hot": np.where(np.arange(tokens) == tokens // 2, 3000, -3000),
            "alternating": np.where(np.arange(tokens) % 2 == 0, 3000, -3000),
        }
        plan = softmax_plan(logit_scale=logit_scale, score_bound=3000, octaves=30, exponential=variant)
        v = random.integers(-128, 127, (tokens, 2), endpoint=True).astype(np.int32)
        v[:, 1] = np.where(np.arange(tokens) % 3 == 0, 127, -128)
        for scores in inventory.values():
            q, k = keys_for(scores)
            for workers in (1, 4):
                sums = attention_online(q, k, v, plan, workers=workers)
                found = sums.weighted_values / float(sums.weight_sum)
                error = np.abs(found - float_softmax(scores, v, logit_scale=logit_scale))
                bound = online_bound(v, weight_sum=float(sums.weight_sum), rescales=int(sums.rescales), plan=plan)
                bound += 1e-12
                worst = max(worst, float((error / bound).max()))
    assert worst <= 1, f"worst error / bound = {worst}"


@pytest.mark.parametrize("variant", VARIANTS)
def test_rising_scores_need_the_part_of_the_bound_that_counts_rescalings(variant: Exponential) -> None:
    scores, scale = np.arange(1000), 1e-3
    plan = softmax_plan(logit_scale=scale, score_bound=1000, octaves=30, exponential=variant)
    q, k = keys_for(scores)
    v = np.repeat(np.where(scores < 500, 127, -128), 2).reshape(1000, 2).astype(np.int32)
    sums = attention_online(q, k, v, plan, workers=1)
    error = np.abs(sums.weighted_values / float(sums.weight_sum) - float_softmax(scores, v, logit_scale=scale))
    without, complete = (
        float((error / online_bound(v, weight_sum=float(sums.weight_sum), rescales=rescales, plan=plan)).max())
        for rescales in (0, 999)
    )
    assert sums.rescales == 999
    assert without > 10
    assert 0.03 < complete <= 1, f"worst error / bound = {complete}"


def test_zero_values_give_zero() -> None:
    plan = softmax_plan(logit_scale=0.01, score_bound=3000, octaves=30)
    q, k = keys_for(np.arange(30))
    assert not attention_online(q, k, np.zeros((30, 2), np.int32), plan, workers=2).weighted_values.any()


# ---- refusals


def test_impossible_arguments_are_refused() -> None:
    q, k = keys_for(np.arange(3))
    plan = softmax_plan(logit_scale=0.01, score_bound=3000, octaves=30)
    with pytest.raises(ValueError, match=r"softmax_plan\(..., octaves=30\)"):
        attention_online(q, k, k, softmax_plan(logit_scale=0.01, score_bound=3000), workers=1)
    with pytest.raises(ValueError, match="0 workers"):
        attention_online(q, k, k, plan, workers=0)
    with pytest.raises(ValueError, match="from token -1"):
        attention_online(q, k, k, plan, workers=1, first_token=-1)
    with pytest.raises(ValueError, match="at least one token"):
        attention_online(q, k[:0], k[:0], plan, workers=1)
    with pytest.raises(TypeError, match="one type"):
        attention_online(q, k.astype(np.int16), k, plan, workers=1)
