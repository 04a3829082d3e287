"""Splitting contexts over DPUs, paging, waves, masks and biases: bit for bit what the references say (C0-03, C0-05)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels_for_tests.attention import (
    LINEAR,
    SOFTMAX,
    VARIANTS,
    WHOLE,
    WIDE,
    WRAP,
    arrays_of,
    assert_same,
    decode,
    make_case,
    make_set,
    prefix,
)
from kernels_for_tests.attention_operands import PATTERNS

from host.attention.partition import Partition

every_variant = pytest.mark.parametrize("variant", VARIANTS, ids=str)
partitions = st.builds(Partition, st.sampled_from([1, 2, 3, 4, 5, 16]), st.sampled_from(["block", "interleave"]))
SPLITS = [Partition(parts, layout) for parts in (2, 3, 4, 16) for layout in ("block", "interleave")]


@every_variant
@settings(max_examples=18)
@given(
    data=st.data(),
    tokens=st.integers(1, 90),
    spare=st.sampled_from([0, 0, 1, 40]),
    dim=st.integers(1, 24),
    batch=st.integers(1, 3),
    queries=st.sampled_from([1, 2, 3, 4, 8]),
    patterns=st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=2).map(tuple),
    seed=st.integers(0, 1 << 32),
    window=st.none() | st.sampled_from([1, 2, 13]) | st.integers(1, 100),
    alibi=st.sampled_from([0.0, 0.0, 0.4]),
    partition=partitions,
    paging=st.sampled_from(["contiguous", "paged"]),
    nr_tasklets=st.sampled_from([2, 3, 9, 17]),
)
def test_anything_goes_with_anything(hardware, variant, data, tokens, spare, partition, paging, nr_tasklets, **shape):
    case = make_case(variant, tokens=tokens, max_tokens=tokens + spare, **shape)
    positions = data.draw(st.lists(st.integers(0, tokens - 1), min_size=case.batch, max_size=case.batch))
    units = case.batch * case.spec.kv_heads
    answers = decode(
        case,
        hardware,
        positions=positions,
        partition=partition,
        paging=paging,
        nr_tasklets=nr_tasklets,
        nr_dpus=partition.parts * data.draw(st.integers(1, units)),
    )
    assert_same(answers, case.expected(partition=partition, nr_tasklets=nr_tasklets, positions=positions))


@every_variant
def test_all_tokens_but_the_newest_masked(hardware, variant):
    """A window of 1: softmax gives that token's value, a z-score of one token is 0."""
    case = make_case(variant, tokens=70, dim=9, patterns=PATTERNS, window=1)
    for partition in (WHOLE, Partition(3, "interleave")):
        answers = decode(case, hardware, partition=partition)
        assert_same(answers, case.expected(partition=partition), where=str(partition))
        if variant.is_softmax:
            newest = case.v[:, :, -1].astype(np.int64) << case.spec.probability_bits
            np.testing.assert_array_equal(answers.weighted_values, newest)
        elif variant.norm == "zscore":
            assert not answers.weighted_values.any()


@pytest.mark.parametrize("variant", [*WRAP, *WIDE, *LINEAR], ids=str)
def test_some_norms_do_not_depend_on_the_partition(hardware, variant):
    """B-10: sums of integers (M-1), and z-score by linearity (M-4)."""
    case = make_case(variant, tokens=75, dim=10, queries=2, patterns=("random", "alternating"))
    whole = decode(case, hardware)
    for partition in SPLITS:
        assert_same(decode(case, hardware, partition=partition), whole, where=str(partition))


def test_split_softmax_does_depend_on_the_partition(hardware):
    """Each part rounds weights below its own maximum (M-2): in the last bits the sums differ."""
    case = make_case(SOFTMAX[1], tokens=75, dim=10, patterns=("random",) * 4)
    whole, split = (decode(case, hardware, partition=partition) for partition in (WHOLE, SPLITS[3]))
    np.testing.assert_array_equal(split.maximum, whole.maximum)
    assert (split.weight_sum != whole.weight_sum).any()


@every_variant
@pytest.mark.parametrize("partition", [WHOLE, Partition(3, "block")], ids=str)
def test_paging_changes_nothing_as_contexts_grow(hardware, variant, partition):
    """C0-05: contexts of blocks that lie far apart, after others were given back."""
    case = make_case(variant, tokens=53, dim=7, batch=2, queries=2, patterns=("random", "random"), window=45)
    loaded = prefix(case, 21)
    sets = [
        make_set(case, hardware, partition=partition, paging=paging, nr_dpus=6) for paging in ("contiguous", "paged")
    ]
    for attention in sets:
        attention.load_kv(case.k, case.v)  # given back by the next
        attention.load_kv(loaded.k, loaded.v)
    for token in range(loaded.tokens, case.tokens):
        for attention in sets:
            attention.append(case.k[:, :, token], case.v[:, :, token])
        if token % 8 in (0, 7):
            answers = [attention.decode(case.q) for attention in sets]
            assert_same(*answers, where=f"token {token}")
            assert_same(answers[0], prefix(case, token + 1).expected(partition=partition), where=f"token {token}")
    for attention in sets:
        attention.free()


@every_variant
def test_waves_change_nothing(hardware, variant):
    case = make_case(variant, tokens=19, dim=5, batch=3, queries=2, patterns=("random", "one hot"))
    at_once = decode(case, hardware)
    for nr_dpus in (1, 2, 4, 5):
        assert_same(decode(case, hardware, nr_dpus=nr_dpus), at_once, where=f"{nr_dpus} DPUs")


def test_parts_without_tokens_count_for_nothing(hardware):
    """16 parts of 2 tokens: those before the window and behind the newest token are empty."""
    for variant in (*SOFTMAX, *LINEAR):
        case = make_case(variant, tokens=2, max_tokens=32, dim=6)
        split = decode(case, hardware, partition=Partition(16, "interleave"))
        assert_same(split, case.expected(partition=Partition(16, "interleave")))
        assert len({len(part) for part in arrays_of(split)}) == 1
