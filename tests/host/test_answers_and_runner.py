"""From bytes of DPUs to answers, and contexts in waves: what is pushed when, and what an interruption leaves."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernels_for_tests.attention import (
    LINEAR,
    ONLINE,
    SOFTMAX,
    VARIANTS,
    WIDE,
    WRAP,
    ZSCORE,
    arrays_of,
    assert_same,
    make_case,
    make_set,
    make_spec,
)
from kernels_for_tests.attention_sizes import Sizes

from host.attention import runner
from host.attention.answers import merge_parts, read_answers, read_outputs, read_statistics, rearrange
from host.attention.partition import Partition
from host.attention.runner import Calls, by_part, waves
from host.attention.sums import LinearSums, OnlineSums, SoftmaxSums, ZscoreSums
from host.attention.zscore import z_bits

every_variant = pytest.mark.parametrize("variant", VARIANTS, ids=str)


# --- bytes -----------------------------------------------------------------------------------------------------------


def stored(variant, queries, dim, sums, statistics):
    """Output bytes of one context: a row per sum with its statistics at the end, none behind the extra row."""
    size = Sizes.of(variant, dim, queries)
    rows = np.full((size.totals, size.output), 0xA5, np.uint8)  # what nobody may read
    for row, values in zip(rows, sums, strict=True):
        row[: values.nbytes] = values.view(np.uint8)
    for row, values in zip(rows, statistics, strict=False):
        row[size.output - values.nbytes :] = values.view(np.uint8)
    return rows.reshape(1, -1)


@pytest.mark.quick
@every_variant
@pytest.mark.parametrize(("queries", "dim"), [(1, 1), (3, 7), (2, 8)])
def test_outputs_are_taken_apart(variant, queries, dim):
    spec, size = make_spec(variant, dim=dim, max_tokens=9, queries=queries), Sizes.of(variant, dim, queries)
    generator = np.random.default_rng(dim)
    kind = spec.operands.dtype if variant.acc == "wrap" else np.dtype(np.int64)
    sums = generator.integers(-100, 100, (size.totals, dim)).astype(kind)
    statistics = generator.integers(-(1 << 40), 1 << 40, (queries, size.statistics // 8))
    outputs = read_outputs(spec, stored(variant, queries, dim, sums, statistics))
    assert (outputs.sums.dtype, outputs.statistics.dtype) == (kind, np.int64)
    np.testing.assert_array_equal(outputs.sums, sums[None])
    np.testing.assert_array_equal(outputs.statistics, statistics[None])
    answers = read_answers(spec, outputs, tokens=np.array([5]), visible=np.array([9]))
    expected = {
        "div_d": lambda: sums[None],
        "softmax": lambda: SoftmaxSums(statistics[None, :, 0], statistics[None, :, 1].astype(np.uint64), sums[None]),
        "softmax_online": lambda: OnlineSums(
            statistics[None, :, 0], statistics[None, :, 1].astype(np.uint64), sums[None], statistics[None, :, 2]
        ),
        "zscore": lambda: ZscoreSums(sums[None], np.full((1, queries), int(z_bits(np.array(9))))),
        "zscore_linear": lambda: LinearSums(
            sums[None, :queries],
            np.stack([sums[queries:]] * queries, axis=1),
            statistics[None, :, 0],
            statistics[None, :, 3:],
            np.full((1, queries), 5),
        ),
    }
    assert_same(answers, expected[variant.norm]())


@pytest.mark.quick
def test_statistics_of_a_part():
    """Sum, least, greatest, three sums of squares, as the first launch of M-5 leaves them."""
    spec = make_spec(ZSCORE[1], dim=2, max_tokens=9, queries=2)
    statistics = np.arange(12).reshape(2, 6)
    outputs = read_outputs(spec, stored(ZSCORE[1], 2, 2, np.zeros((2, 2), np.int64), statistics))
    found = read_statistics(outputs, np.array([7]))
    assert found.tokens.tolist() == [[7, 7]]
    assert (found.score_sum.tolist(), found.minimum.tolist(), found.maximum.tolist()) == ([[0, 6]], [[1, 7]], [[2, 8]])
    assert found.square_limbs.tolist() == [[[3, 4, 5], [9, 10, 11]]]


@pytest.mark.quick
@pytest.mark.parametrize("variant", [WRAP[1], WIDE[2], ZSCORE[0], LINEAR[0], SOFTMAX[1], ONLINE[0]], ids=str)
def test_one_part_is_the_whole(variant):
    case = make_case(variant, tokens=12, dim=3, queries=2)
    answers = case.expected()
    one_part = rearrange([answers], lambda array: array[None])
    assert_same(merge_parts(case.spec, one_part), answers)


# --- waves -----------------------------------------------------------------------------------------------------------


def calls_on(dpus):
    numbers = np.arange(len(dpus))
    return Calls(
        dpu=np.array(dpus), slot=numbers, kv_head=numbers, part=numbers, first=numbers, end=numbers, position=numbers
    )


@pytest.mark.quick
@given(
    parts=st.integers(1, 4),
    heads=st.integers(1, 9),
    random=st.randoms(use_true_random=False),
)
def test_a_wave_has_every_dpu_once_and_heads_whole(parts, heads, random):
    dpus = list(itertools.chain.from_iterable(random.sample(range(parts + 3), parts) for _ in range(heads)))
    found = waves(calls_on(dpus), parts)
    assert sorted(np.concatenate(found).tolist()) == list(range(len(dpus)))
    for wave in found:
        taken = [dpus[call] for call in wave]
        assert len(set(taken)) == len(taken)
        by_head = wave.reshape(-1, parts)
        assert (by_head // parts == by_head[:, :1] // parts).all()
    # no head could have run in an earlier wave
    for later, wave in enumerate(found):
        for head in wave.reshape(-1, parts):
            own = {dpus[call] for call in head}
            assert all(own & {dpus[call] for call in earlier} for earlier in found[:later])


@pytest.mark.quick
def test_answers_of_waves_are_put_in_order():
    """Two requests of two KV heads with two query heads, split in two: 8 calls in three waves."""
    spec = make_spec(WIDE[1], dim=1, max_tokens=9, kv_heads=2, queries=2)
    in_waves = [np.array([0, 1, 6, 7]), np.array([4, 5]), np.array([2, 3])]
    numbered = np.arange(16).reshape(8, 2, 1)  # call, query
    answers = by_part(spec, [numbered[wave] for wave in in_waves], in_waves, 2)
    assert answers.shape == (2, 2, 4, 1)
    assert answers[..., 0].tolist() == [[[0, 1, 4, 5], [8, 9, 12, 13]], [[2, 3, 6, 7], [10, 11, 14, 15]]]


# --- pushing ---------------------------------------------------------------------------------------------------------


def written(attention, action):
    """Symbols that an action writes to."""
    before = len(attention.timeline.rows)
    action()
    return [row.what for row in attention.timeline.rows[before:] if row.operation == "write"]


@pytest.mark.parametrize("variant", [SOFTMAX[1], WIDE[1]], ids=str)
def test_only_what_changes_is_pushed(hardware, variant):
    case = make_case(variant, tokens=20, dim=4, batch=2, window=5)
    with make_set(case, hardware) as attention:
        attention.load_kv(case.k, case.v)
        (query_rows,) = written(attention, lambda: attention.decode(case.q))
        assert written(attention, lambda: attention.decode(case.q, positions=19)) == [query_rows]
        assert written(attention, lambda: attention.decode(case.q, positions=[3, 19])) == ["arguments", query_rows]
        assert written(attention, lambda: attention.decode(case.q, positions=[3, 19])) == [query_rows]
        assert written(attention, lambda: attention.decode(case.q)) == ["arguments", query_rows]


@pytest.mark.parametrize("variant", [ZSCORE[1], SOFTMAX[1]], ids=str)
@pytest.mark.parametrize("partition", [Partition(1), Partition(3)], ids=str)
def test_everything_is_pushed_again_after_an_interruption(hardware, monkeypatch, variant, partition):
    """Between the two launches of M-5, too, when the DPUs wait for the second."""
    case = make_case(variant, tokens=20, dim=4, batch=2, queries=2)
    split_z_scores = variant.norm == "zscore" and partition.parts > 1

    def interrupted(*arguments):
        raise KeyboardInterrupt

    with make_set(case, hardware, partition=partition) as attention:
        attention.load_kv(case.k, case.v)
        owner, name = (runner, "read_statistics") if split_z_scores else (type(attention.dpus), "exec")
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, interrupted)
            with pytest.raises(KeyboardInterrupt):
                attention.decode(case.q)
        symbols = written(attention, lambda: attention.push_q(case.q))
        assert "arguments" in symbols
        attention.launch()
        assert_same(attention.pull_o(), case.expected(partition=partition))


@every_variant
def test_parts_are_there_before_they_are_merged(hardware, variant):
    case = make_case(variant, tokens=20, dim=4, batch=2, queries=2)
    with make_set(case, hardware, partition=Partition(3)) as attention:
        attention.load_kv(case.k, case.v)
        merged = attention.decode(case.q)
        parts = attention.pull_parts()
    assert {array.shape[:3] for array in arrays_of(parts)} == {(3, 2, 2)}
    assert_same(merge_parts(case.spec, parts), merged)
