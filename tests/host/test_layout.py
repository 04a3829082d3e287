"""Where attention's data lie in MRAM, and which context still fits (S0-2, S0-13)."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernels_for_tests.attention import VARIANTS, WHOLE, WRAP, make_spec
from kernels_for_tests.attention_sizes import Sizes

from host.attention.biases import BiasTable
from host.attention.layout import default_slots, longest_context, plan_layout
from host.attention.partition import Partition
from host.attention.wram_plan import CapacityError

pytestmark = pytest.mark.quick

MRAM_BYTES = 64 << 20
WORKERS_AT_MOST = 23

variants = st.sampled_from(VARIANTS)
dims = st.integers(1, 250)
heaps = st.integers(0, 1 << 18) | st.integers(0, MRAM_BYTES)
groups = st.sampled_from([1, 2, 8])
partitions = st.builds(Partition, st.integers(1, 5), st.sampled_from(["block", "interleave"]))
biases = st.sampled_from([0.0, 0.3])


@given(
    variant=variants,
    dim=dims,
    queries=groups,
    alibi=biases,
    partition=partitions,
    how=st.tuples(st.sampled_from(["contiguous", "paged"]), st.integers(1, 3)),
    heap_bytes=heaps,
)
def test_exactly_the_longest_context_fits(variant, dim, queries, alibi, partition, how, heap_bytes):
    paging, slots = how

    def spec(max_tokens):
        return make_spec(variant, dim=dim, max_tokens=max_tokens, queries=queries, alibi=alibi)

    where = {"paging": paging, "slots": slots, "at_once": slots, "heap_bytes": heap_bytes}
    fits = longest_context(spec(1), partition, **where)
    if fits:
        assert plan_layout(spec(fits), partition, **where).end <= heap_bytes
    with pytest.raises(CapacityError, match=rf"the longest context that fits is {fits} tokens") as refusal:
        plan_layout(spec(fits + 1), partition, **where)
    assert refusal.value.longest_context == fits


@given(
    variant=variants,
    dim=dims,
    queries=groups,
    alibi=biases,
    max_tokens=st.integers(1, 5000),
    partition=partitions,
    slots=st.integers(1, 3),
)
def test_regions_follow_each_other_without_gap(variant, dim, queries, alibi, max_tokens, partition, slots):
    sizes, spec = (
        Sizes.of(variant, dim, queries),
        make_spec(variant, dim=dim, max_tokens=max_tokens, queries=queries, alibi=alibi),
    )
    layout = plan_layout(spec, partition, paging="contiguous", slots=slots, at_once=1, heap_bytes=1 << 40)
    capacity = -(-max_tokens // partition.parts)
    assert (layout.q_bytes, layout.row_bytes, layout.output_bytes) == (sizes.q, sizes.row, sizes.output)
    assert (layout.capacity, layout.nr_blocks, layout.table_bytes) == (capacity, 0, 0)
    expected = {"q": 0}
    expected["output"] = queries * sizes.q
    expected["kv"] = expected["output"] + sizes.totals * sizes.output
    expected["scores"] = expected["kv"] + slots * 2 * capacity * sizes.row
    expected["partials"] = expected["scores"] + -(-capacity // 8) * sizes.totals * sizes.scores
    expected["biases"] = expected["partials"] + WORKERS_AT_MOST * sizes.totals * sizes.output
    tables = queries * BiasTable(partition, capacity * partition.parts).nbytes if alibi else 0
    expected["end"] = expected["biases"] + slots * tables
    assert {name: getattr(layout, name) for name in expected} == expected
    assert (layout.slot_bytes, layout.v) == (2 * capacity * sizes.row, capacity * sizes.row)
    assert all(address % 8 == 0 for address in expected.values())


@given(variant=variants, dim=dims, queries=groups, max_tokens=st.integers(1, 5000), slots=st.integers(1, 70))
def test_all_that_is_left_becomes_blocks(variant, dim, queries, max_tokens, slots):
    sizes, spec = Sizes.of(variant, dim, queries), make_spec(variant, dim=dim, max_tokens=max_tokens, queries=queries)
    layout = plan_layout(spec, WHOLE, paging="paged", slots=slots, at_once=1, heap_bytes=MRAM_BYTES)
    assert layout.table_bytes == 8 * -(-max_tokens // 16)
    assert layout.block_bytes == 2 * 16 * sizes.row
    assert layout.v == 16 * sizes.row
    assert layout.kv == layout.tables + slots * layout.table_bytes
    assert layout.scores == layout.kv + layout.nr_blocks * layout.block_bytes
    assert layout.nr_blocks * 16 >= max_tokens
    assert 0 <= MRAM_BYTES - layout.end < layout.block_bytes


@given(variant=variants, dim=dims, max_tokens=st.integers(1, 100_000), partition=partitions, heap_bytes=heaps)
def test_the_usual_number_of_slots_is_as_many_as_fit(variant, dim, max_tokens, partition, heap_bytes):
    spec = make_spec(variant, dim=dim, max_tokens=max_tokens)
    slots = default_slots(spec, partition, paging="contiguous", heap_bytes=heap_bytes)
    fitting = (
        longest_context(spec, partition, paging="contiguous", slots=n, at_once=1, heap_bytes=heap_bytes) >= max_tokens
        for n in (slots, slots + 1)
    )
    assert tuple(fitting) in {(True, False), (False, False)}
    assert slots == 1 or longest_context(
        spec, partition, paging="contiguous", slots=slots, at_once=1, heap_bytes=heap_bytes
    )


def test_less_than_one_slot_is_refused():
    with pytest.raises(ValueError, match="0 contexts per DPU: at least 1"):
        plan_layout(
            make_spec(WRAP[0], dim=4, max_tokens=1), WHOLE, paging="paged", slots=0, at_once=1, heap_bytes=MRAM_BYTES
        )


def test_the_message_says_how_the_context_is_split():
    spec = make_spec(WRAP[3], dim=128, max_tokens=1_000_000)
    with pytest.raises(CapacityError) as refusal:
        plan_layout(spec, Partition(4), paging="contiguous", slots=2, at_once=1, heap_bytes=MRAM_BYTES)
    assert str(refusal.value).startswith(
        "1000000 tokens of 128 int32 elements on 4 DPUs, 2 such contexts per DPU need 513,012,800 bytes of MRAM"
    )


@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        # 64 MiB less Q, O and 23 partial outputs of one row each, over 8 tokens of 2 rows and a score each
        (WRAP[1], 261_111),  # 67,105,664 / (8 * 257) = 32,638 groups, and 7 tokens of a last one
        (WRAP[2], 130_549),  # 67,102,464 / (8 * 514) = 16,318 groups, and 5 tokens
        (WRAP[3], 65_268),  # 67,096,064 / (8 * 1028) = 8,158 groups, and 4 tokens
    ],
    ids=str,
)
def test_longest_context_of_128_dimensions_in_64_mib(variant, expected):
    spec = make_spec(variant, dim=128, max_tokens=1)
    where = {"paging": "contiguous", "at_once": 1, "heap_bytes": MRAM_BYTES}
    assert longest_context(spec, WHOLE, slots=1, **where) == expected
    assert longest_context(spec, Partition(3), slots=1, **where) == 3 * expected


def test_several_contexts_share_the_memory():
    spec = make_spec(WRAP[1], dim=128, max_tokens=1)
    fits = [
        longest_context(spec, WHOLE, paging="contiguous", slots=slots, at_once=1, heap_bytes=MRAM_BYTES)
        for slots in range(1, 6)
    ]
    assert all(more > fewer for more, fewer in itertools.pairwise(fits))
    assert [round(fits[0] / fit) for fit in fits] == [1, 2, 3, 4, 5]


def test_no_token_fits_a_heap_that_is_smaller_than_the_outputs():
    spec, outputs = make_spec(WRAP[1], dim=128, max_tokens=1), 25 * 128 + 2 * 128
    for missing, fits in ((1, 0), (0, 1)):
        heap_bytes = outputs + 8 - missing
        assert longest_context(spec, WHOLE, paging="contiguous", slots=1, at_once=1, heap_bytes=heap_bytes) == fits
