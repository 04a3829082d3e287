"""Merging parts of a split context (M-1 to M-7): exact where the norm is, elsewhere within its bound, by any tree."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from host.attention import bounds, merge, merge_traffic, online, reference, zscore
from host.attention.output import linear_to_real, softmax_to_real
from host.attention.partition import Partition, PartitionLayout
from host.attention.softmax_plan import SoftmaxPlan, softmax_plan
from host.attention.sums import LinearSums, OnlineSums, SoftmaxSums

pytestmark = pytest.mark.quick

layouts = st.sampled_from(["block", "interleave"])
EMPTY = SoftmaxSums(np.array(-(2**63)), np.array(0, np.uint64), np.zeros(3, np.int64))


def split(rows: NDArray[np.generic], parts: int, layout: PartitionLayout) -> list[NDArray[np.generic]]:
    return [part.rows for part in Partition(parts, layout).over(rows.shape[-2]).split_rows(rows, 0)]


def plan_for(scores: NDArray[np.int64], logit_scale: float, bits: int = 24) -> SoftmaxPlan:
    bound = int(np.abs(scores).max())
    return softmax_plan(logit_scale=logit_scale, score_bound=bound, probability_bits=bits, octaves=30)


def softmax_sums(scores: NDArray[np.int64], v: NDArray[np.int64], plan: SoftmaxPlan) -> SoftmaxSums:
    if not len(scores):
        return SoftmaxSums(EMPTY.maximum, EMPTY.weight_sum, np.zeros(v.shape[-1], np.int64))
    weights = reference.softmax_weights(scores, plan)
    return SoftmaxSums(scores.max(), weights.sum().astype(np.uint64), weights @ v)


def softmax_parts(
    scores: NDArray[np.int64], v: NDArray[np.int64], plan: SoftmaxPlan, parts: int, layout: PartitionLayout
) -> SoftmaxSums:
    rows = zip(split(scores[:, None], parts, layout), split(v, parts, layout), strict=True)
    sums = [softmax_sums(part_scores[:, 0], part_v, plan) for part_scores, part_v in rows]
    return SoftmaxSums(*map(np.stack, zip(*sums, strict=True)))


@st.composite
def contexts(draw: st.DrawFn) -> tuple[NDArray[np.int64], NDArray[np.int64], float]:
    """Scores, values and a logit scale, among them the awkward ones."""
    tokens = draw(st.sampled_from([1, 2, 3, 7, 17, 40]))
    reach = draw(st.sampled_from([0, 3, 2**14, 2**40]))
    scores = draw(hnp.arrays(np.int64, tokens, elements=st.integers(-reach, reach)))
    v = draw(
        st.one_of(
            hnp.arrays(np.int64, (tokens, 3), elements=st.integers(-128, 127)),
            st.sampled_from([0, -128, 127]).map(lambda x: np.full((tokens, 3), x, np.int64)),
        )
    )
    return scores, v, draw(st.sampled_from([1e-3, 0.3, 4.0, 1e5])) / max(reach, 1)


@given(data=st.data(), dtype=st.sampled_from([np.int8, np.int16, np.int32]), parts=st.integers(1, 7), layout=layouts)
def test_wrapping_div_d_adds_up_bit_for_bit(
    data: st.DataObject, dtype: type[np.signedinteger], parts: int, layout: PartitionLayout
) -> None:
    tokens = data.draw(st.integers(parts, 20))
    shapes = (2,), (tokens, 2), (tokens, 2)
    q, k, v = (data.draw(hnp.arrays(dtype, shape, elements=hnp.from_dtype(np.dtype(dtype)))) for shape in shapes)
    filled = [pair for pair in zip(split(k, parts, layout), split(v, parts, layout), strict=True) if pair[0].size]
    outputs = [reference.attention_div_d(q, part_k, part_v, acc="wrap") for part_k, part_v in filled]
    merged = merge.add_parts(np.stack(outputs))
    assert merged.dtype == dtype
    assert (merged == reference.attention_div_d(q, k, v, acc="wrap")).all()


def test_wide_div_d_stays_wide() -> None:
    assert merge.add_parts(np.array([[2**40], [2**40]])).tolist() == [2**41]


@given(context=contexts(), parts=st.integers(1, 9), layout=layouts, bits=st.sampled_from([8, 16, 24, 30]))
def test_merged_softmax_is_within_its_bound(
    context: tuple[NDArray[np.int64], NDArray[np.int64], float], parts: int, layout: PartitionLayout, bits: int
) -> None:
    scores, v, logit_scale = context
    plan = plan_for(scores, logit_scale, bits)
    merged = merge.merge_softmax(softmax_parts(scores, v, plan, parts, layout), (plan,))
    error = np.abs(softmax_to_real(merged, v_scale=1.0) - reference.float_softmax(scores, v, logit_scale=logit_scale))
    bound = bounds.merged_softmax_bound(v, weight_sum=merged.weight_sum, probability_bits=bits, parts=parts)
    assert (error <= bound + 1e-12 * 128).all()
    assert merged.maximum == scores.max()


@given(context=contexts(), parts=st.integers(1, 9), layout=layouts)
def test_float_merge_needs_only_the_bound_of_one_kernel(
    context: tuple[NDArray[np.int64], NDArray[np.int64], float], parts: int, layout: PartitionLayout
) -> None:
    scores, v, logit_scale = context
    plan = plan_for(scores, logit_scale)
    sums = softmax_parts(scores, v, plan, parts, layout)
    output = merge.merge_softmax_float(sums, logit_scale=logit_scale)
    weight_sum = merge.join_softmax_float(sums, logit_scale=logit_scale).weight_sum
    bound = bounds.softmax_bound(v, weight_sum=weight_sum, probability_bits=24)
    error = np.abs(output - reference.float_softmax(scores, v, logit_scale=logit_scale))
    assert (error <= bound * (1 + 1e-3) + 1e-12 * 128).all()


def merge_tree(parts: SoftmaxSums | merge.FloatSums, cuts: list[int], logit_scale: float) -> merge.FloatSums:
    """Parts joined in neighbouring groups, then the groups."""
    edges = [0, *sorted(set(cuts)), len(parts.maximum)]
    groups = [
        merge.join_softmax_float(type(parts)(*(field[a:b] for field in parts)), logit_scale=logit_scale)
        for a, b in itertools.pairwise(edges)
        if b > a
    ]
    return merge.join_softmax_float(merge.FloatSums(*map(np.stack, zip(*groups, strict=True))), logit_scale=logit_scale)


@given(context=contexts(), parts=st.integers(2, 9), layout=layouts, data=st.data())
def test_every_merge_tree_gives_the_same_output(
    context: tuple[NDArray[np.int64], NDArray[np.int64], float],
    parts: int,
    layout: PartitionLayout,
    data: st.DataObject,
) -> None:
    """To 1e-12 of the values' range, or of their size where all are nearly equal and float64 knows no better."""
    scores, v, logit_scale = context
    sums = softmax_parts(scores, v, plan_for(scores, logit_scale), parts, layout)
    order = data.draw(st.permutations(range(parts)))
    shuffled = SoftmaxSums(*(field[order] for field in sums))
    tree = merge_tree(shuffled, data.draw(st.lists(st.integers(1, parts - 1))), logit_scale)
    again = merge.FloatSums(*(np.asarray(field)[None] for field in tree))
    outputs = [
        merge.merge_softmax_float(sums, logit_scale=logit_scale),
        merge.merge_softmax_float(again, logit_scale=logit_scale),
    ]
    size = np.maximum(np.ptp(v, axis=0), np.abs(v).max(axis=0))
    assert (np.abs(outputs[0] - outputs[1]) <= 1e-12 * size).all()


@given(context=contexts(), parts=st.integers(2, 8), data=st.data())
def test_merged_sums_merge_again(
    context: tuple[NDArray[np.int64], NDArray[np.int64], float], parts: int, data: st.DataObject
) -> None:
    scores, v, logit_scale = context
    plan = plan_for(scores, logit_scale)
    sums = softmax_parts(scores, v, plan, parts, "interleave")
    cut = data.draw(st.integers(1, parts - 1))
    halves = [merge.merge_softmax(SoftmaxSums(*(x[a:b] for x in sums)), (plan,)) for a, b in ((0, cut), (cut, parts))]
    merged = merge.merge_softmax(SoftmaxSums(*map(np.stack, zip(*halves, strict=True))), (plan,))
    bound = bounds.merged_softmax_bound(v, weight_sum=merged.weight_sum, probability_bits=24, parts=parts, levels=2)
    error = np.abs(softmax_to_real(merged, v_scale=1.0) - reference.float_softmax(scores, v, logit_scale=logit_scale))
    assert (error <= bound + 1e-12 * 128).all()


@given(weight=st.floats(0, 40), sums=hnp.arrays(np.int64, 4, elements=st.integers(-(2**62), 2**62)))
def test_each_product_is_rounded_once_and_exactly(weight: float, sums: NDArray[np.int64]) -> None:
    plan = softmax_plan(logit_scale=1e-3, score_bound=2**20, octaves=30)
    drop = int(weight / 1e-3)
    parts = SoftmaxSums(
        np.array([drop, 0]), np.array([2**24, 2**24 + 1], np.uint64), np.stack([np.zeros(4, np.int64), sums])
    )
    merged = merge.merge_softmax(parts, (plan,))
    q30 = int(reference.weights_of_differences(np.array([drop]), plan, 30)[0]) if drop else 2**30
    assert merged.weighted_values.tolist() == [(int(x) * q30 + 2**29) >> 30 for x in sums]
    assert int(merged.weight_sum) == 2**24 + (((2**24 + 1) * q30 + 2**29) >> 30)


def test_empty_parts_count_for_nothing() -> None:
    plan = softmax_plan(logit_scale=0.1, score_bound=100, octaves=30)
    one = SoftmaxSums(np.array(-7), np.array(2**24, np.uint64), np.array([1, -2, 3]) << 24)
    parts = SoftmaxSums(*map(np.stack, zip(EMPTY, one, EMPTY, strict=True)))
    assert all((a == b).all() for a, b in zip(merge.merge_softmax(parts, (plan,)), one, strict=True))
    assert merge.merge_softmax_float(parts, logit_scale=0.1).tolist() == [1, -2, 3]
    nothing = SoftmaxSums(*(np.stack([field, field]) for field in EMPTY))
    assert softmax_to_real(merge.merge_softmax(nothing, (plan,)), v_scale=1.0).tolist() == [0, 0, 0]
    assert merge.merge_softmax_float(nothing, logit_scale=0.1).tolist() == [0, 0, 0]


@pytest.mark.parametrize("exponential", ["lut256_lerp", "lut256_mid", "poly3", "iexp"])
def test_online_merge_of_two_is_the_masters_join(exponential: str) -> None:
    generator = np.random.default_rng(5)
    plan = softmax_plan(logit_scale=0.01, score_bound=2**14, octaves=30, exponential=exponential)  # type: ignore[arg-type]
    parts = OnlineSums(
        generator.integers(-300, 300, (2, 50)),
        generator.integers(2**24, 2**34, (2, 50)).astype(np.uint64),
        generator.integers(-(2**40), 2**40, (2, 50, 4)),
        generator.integers(0, 9, (2, 50)),
    )
    parts.maximum[:, :5] = 8
    joined = online.join(*(OnlineSums(*(x[i] for x in parts)) for i in range(2)), plan)
    for ours, theirs in zip(merge.merge_online(parts, (plan,)), joined, strict=True):
        assert (ours == theirs).all()
        assert ours.dtype == theirs.dtype


@given(context=contexts(), parts=st.integers(1, 6), layout=layouts, workers=st.integers(1, 3))
def test_merged_online_softmax_is_within_its_bound(
    context: tuple[NDArray[np.int64], NDArray[np.int64], float], parts: int, layout: PartitionLayout, workers: int
) -> None:
    scores, v, logit_scale = context
    plan = plan_for(scores, logit_scale)
    ones = np.ones(1, np.int32)
    k, rows = np.clip(scores[:, None], -(2**30), 2**30).astype(np.int32), v.astype(np.int32)
    v3 = np.pad(k, ((0, 0), (0, 2))), np.pad(ones, (0, 2))
    filled = [x for x in zip(split(v3[0], parts, layout), split(rows, parts, layout), strict=True) if x[0].size]
    sums = [online.attention_online(v3[1], *x, plan, workers=workers) for x in filled]
    merged = merge.merge_online(OnlineSums(*map(np.stack, zip(*sums, strict=True))), (plan,))
    bound = bounds.online_bound(
        v, weight_sum=merged.weight_sum, rescales=merged.rescales, probability_bits=24, chains=workers * parts
    )
    error = softmax_to_real(merged, v_scale=1.0) - reference.float_softmax(
        k[:, 0].astype(np.int64), v, logit_scale=logit_scale
    )
    assert (np.abs(error) <= bound + 1e-12 * 128).all()
    assert merged.rescales >= max(int(x.rescales) for x in sums)


@given(data=st.data(), parts=st.integers(1, 9), layout=layouts, dtype=st.sampled_from([np.int8, np.int16]))
def test_linear_sums_are_the_same_for_every_partition(
    data: st.DataObject, parts: int, layout: PartitionLayout, dtype: type[np.signedinteger]
) -> None:
    tokens = data.draw(st.integers(parts, 40))
    shapes = (3,), (tokens, 3), (tokens, 3)
    q, k, v = (data.draw(hnp.arrays(dtype, shape, elements=hnp.from_dtype(np.dtype(dtype)))) for shape in shapes)
    whole = zscore.attention_linear(q, k, v)
    filled = [x for x in zip(split(k, parts, layout), split(v, parts, layout), strict=True) if x[0].size]
    sums = [zscore.attention_linear(q, *x) for x in filled]
    merged = merge.merge_linear(LinearSums(*map(np.stack, zip(*sums, strict=True))))
    numbers = zip(merged, whole, strict=True)
    limbs = [
        int(x.square_limbs[0]) * 2**48 + int(x.square_limbs[1]) * 2**25 + int(x.square_limbs[2])
        for x in (merged, whole)
    ]
    assert limbs[0] == limbs[1]
    assert all((a == b).all() for a, b in numbers)
    assert linear_to_real(merged, v_scale=1.0).tobytes() == linear_to_real(whole, v_scale=1.0).tobytes()


def test_one_plan_per_head_is_applied_to_its_head() -> None:
    plans = [softmax_plan(logit_scale=c, score_bound=1000, octaves=30) for c in (0.01, 0.5)]
    generator = np.random.default_rng(2)
    parts = SoftmaxSums(
        generator.integers(-50, 50, (3, 4, 2)),
        generator.integers(2**24, 2**30, (3, 4, 2)).astype(np.uint64),
        generator.integers(-(2**30), 2**30, (3, 4, 2, 5)),
    )
    merged = merge.merge_softmax(parts, plans)
    for head, plan in enumerate(plans):
        alone = merge.merge_softmax(SoftmaxSums(*(field[:, :, head] for field in parts)), [plan])
        assert all((a[:, head] == b).all() for a, b in zip(merged, alone, strict=True))
    with pytest.raises(ValueError, match="3 softmax plans"):
        merge.merge_softmax(parts, [*plans, plans[0]])


def test_plans_that_reach_too_little_are_refused() -> None:
    parts = SoftmaxSums(*(np.stack([field, field]) for field in EMPTY))
    with pytest.raises(ValueError, match="octaves=30"):
        merge.merge_softmax(parts, (softmax_plan(logit_scale=0.1, score_bound=9),))


def test_sums_that_could_overflow_are_refused_and_the_largest_that_cannot_are_exact() -> None:
    plan = softmax_plan(logit_scale=0.1, score_bound=100, octaves=30)
    ends = np.array([[2**62, -(2**62)], [2**62 - 1, -(2**62 - 1)]])
    parts = SoftmaxSums(np.zeros(2, np.int64), np.ones(2, np.uint64), ends)
    assert merge.merge_softmax(parts, (plan,)).weighted_values.tolist() == [2**63 - 1, -(2**63 - 1)]
    with pytest.raises(ValueError, match="weighted_values of 2 parts"):
        merge.merge_softmax(parts._replace(weighted_values=np.add(ends, [[0, 0], [1, -1]])), (plan,))
    many = np.full((2, 1), 2**62)
    with pytest.raises(ValueError, match="score_sum of 2 parts"):
        merge.merge_linear(
            LinearSums(many[..., None] >> 9, many[..., None] >> 9, many, np.zeros((2, 1, 3), np.int64), many >> 9)
        )


def test_traffic_of_the_schemes() -> None:
    assert [merge_traffic.transfers_per_step(x) for x in ("head_per_unit", "sums", "linear_sums")] == [2, 2, 2]
    assert [merge_traffic.transfers_per_step(x) for x in ("two_launches", "scores")] == [4, 4]
    sizes = {"dim": 128, "tokens": 4096, "score_bytes": 4}
    assert merge_traffic.bytes_up("sums", parts=4, **sizes) == 4 * (8 * 128 + 16)
    assert merge_traffic.bytes_up("head_per_unit", parts=1, **sizes) == 8 * 128 + 16
    assert merge_traffic.bytes_up("linear_sums", parts=4, **sizes) == 4 * 8 * (2 * 128 + 5)
    assert merge_traffic.bytes_up("two_launches", parts=4, **sizes) == 4 * 8 * (128 + 7)
    assert merge_traffic.bytes_up("scores", parts=4, **sizes) == 4096 * 4 + 4 * 8 * 128


@given(parts=st.integers(1, 64), dim=st.integers(1, 256), score_bytes=st.sampled_from([4, 8]))
def test_break_even_is_where_both_schemes_move_the_same(parts: int, dim: int, score_bytes: int) -> None:
    tokens = merge_traffic.break_even_tokens(parts=parts, dim=dim, score_bytes=score_bytes)
    assert tokens == Fraction(parts * (8 * dim + 16), 2 * score_bytes)
    sums = merge_traffic.bytes_up("sums", parts=parts, dim=dim, tokens=1, score_bytes=score_bytes)
    assert 2 * tokens * score_bytes == sums


def test_impossible_traffic_is_refused() -> None:
    with pytest.raises(ValueError, match="scheme"):
        merge_traffic.transfers_per_step("magic")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="not split"):
        merge_traffic.bytes_up("head_per_unit", parts=2, dim=8, tokens=8, score_bytes=4)
