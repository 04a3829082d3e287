"""AttentionSet: contexts that grow and are replaced, queries at any position, heads that do not know each other."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels_for_tests.attention import (
    SOFTMAX,
    VARIANTS,
    WIDE,
    WRAP,
    Case,
    arrays_of,
    assert_same,
    decode,
    make_case,
    make_set,
    prefix,
)

from host.attention.attention_set import parts_to_fill
from host.attention.partition import Partition
from host.attention.wram_plan import CapacityError
from pim_runtime import EngineOptions, Machine
from pim_runtime.errors import InvalidDpuSetError

# From the last on: another worker compiles the same programs from the first on, and neither waits for the other.
every_variant = pytest.mark.parametrize("variant", list(reversed(VARIANTS)), ids=str)
INTERPRETED = EngineOptions(engine="interpreted")


# --- contexts --------------------------------------------------------------------------------------------------------


@every_variant
@settings(max_examples=3)
@given(
    loaded=st.integers(1, 20),
    dim=st.integers(1, 20),
    partition=st.sampled_from([Partition(), Partition(3), Partition(2, "interleave")]),
)
def test_appending_one_by_one_is_loading_at_once(hardware, variant, loaded, dim, partition):
    case = make_case(variant, tokens=20, dim=dim, patterns=("random", "random"))
    start = prefix(case, loaded)
    with make_set(case, hardware, partition=partition) as attention:
        attention.load_kv(start.k, start.v)
        assert_same(attention.decode(case.q), start.expected(partition=partition))
        for token in range(loaded, 20):
            attention.append(case.k[:, :, token], case.v[:, :, token])
            assert attention.tokens == token + 1
            expected = prefix(case, token + 1).expected(partition=partition)
            assert_same(attention.decode(case.q), expected, where=f"token {token}")


@every_variant
def test_a_loaded_context_replaces_what_was_there(hardware, variant):
    long = make_case(variant, tokens=43, dim=9)
    short = Case(spec=long.spec, q=-(long.q // 2), k=long.k[:, :, 5:8], v=long.v[:, :, 5:8])
    for paging in ("contiguous", "paged"):
        with make_set(long, hardware, paging=paging) as attention:
            for case in (long, short, long):
                attention.load_kv(case.k, case.v)
                assert_same(attention.decode(case.q), case.expected())


@every_variant
def test_another_query_needs_no_new_context(hardware, variant):
    case = make_case(variant, tokens=30, dim=8)
    with make_set(case, hardware) as attention:
        attention.load_kv(case.k, case.v)
        for query in (case.q, -(case.q // 2), case.q // 3, case.q):
            assert_same(attention.decode(query), dataclasses.replace(case, q=query).expected())


@every_variant
@pytest.mark.parametrize("partition", [Partition(), Partition(2)], ids=str)
def test_launching_twice_changes_nothing(hardware, variant, partition):
    case = make_case(variant, tokens=30, dim=8)
    with make_set(case, hardware, partition=partition) as attention:
        attention.load_kv(case.k, case.v)
        attention.push_q(case.q)
        for _ in range(2):
            attention.launch()
            assert_same(attention.pull_o(), case.expected(partition=partition))


@every_variant
@pytest.mark.parametrize("alibi", [0.0, 0.4])
def test_a_query_sees_what_a_shorter_context_has(hardware, variant, alibi):
    """Causal: with a position, later tokens might as well not be there; then the newest again."""
    case = make_case(variant, tokens=40, dim=6, batch=3, window=17, alibi=alibi)
    with make_set(case, hardware, nr_tasklets=4) as attention:
        attention.load_kv(case.k, case.v)
        for position in (0, 5, 16, 17, 39):
            answers = attention.decode(case.q, positions=position)
            assert_same(answers, prefix(case, position + 1).expected(nr_tasklets=4), where=f"position {position}")
        positions = [3, 39, 21]
        answers = attention.decode(case.q, positions=positions)
        assert_same(answers, case.expected(positions=positions, nr_tasklets=4))
        assert_same(attention.decode(case.q), case.expected(nr_tasklets=4))


@pytest.fixture
def small_hardware(hardware):
    """DPUs with 1 MiB of MRAM, which are soon full."""
    return dataclasses.replace(hardware, dpu=dataclasses.replace(hardware.dpu, mram_bytes=1 << 20))


@pytest.mark.parametrize(
    ("paging", "nr_dpus", "parts"),
    [(paging, *size) for paging in ("contiguous", "paged") for size in [(3, 1), (1, 1), (1, 3), (2, 2)]],
)
def test_exactly_the_longest_context_runs(small_hardware, paging, nr_dpus, parts):
    """Three contexts, split or not, some in waves: the tokens that a refusal names fit, one more does not (S0-13)."""
    how = {"paging": paging, "nr_dpus": nr_dpus * parts, "partition": Partition(parts)}
    variant, heads = WRAP[3], ("random",) * 3
    tiny = make_case(variant, tokens=1, dim=120, patterns=heads)

    def with_room_for(tokens):
        return Case(spec=dataclasses.replace(tiny.spec, max_tokens=tokens), q=tiny.q, k=tiny.k, v=tiny.v)

    with pytest.raises(CapacityError) as refusal:
        make_set(with_room_for(1 << 20), small_hardware, **how)
    longest = refusal.value.longest_context
    with pytest.raises(CapacityError, match=f"the longest context that fits is {longest} tokens"):
        make_set(with_room_for(longest + 1), small_hardware, **how)
    case = make_case(variant, tokens=longest, dim=120, patterns=heads)
    assert_same(decode(case, small_hardware, **how), case.expected(partition=Partition(parts)))


@pytest.mark.quick
def test_parts_that_fill_a_machine():
    spec = make_case(WIDE[1], tokens=8, dim=4, patterns=("random",) * 8).spec
    assert [parts_to_fill(spec, batch=batch, nr_dpus=1024) for batch in (1, 2, 3, 64, 128, 1000)] == [
        128,
        64,
        42,
        2,
        1,
        1,
    ]


# --- heads -----------------------------------------------------------------------------------------------------------


@every_variant
@pytest.mark.parametrize("queries", [1, 2])
def test_a_head_does_not_see_the_others(hardware, variant, queries):
    """C0-32: other heads' q, K and V may change; a head alone gives the same."""
    case, others = (
        make_case(variant, tokens=25, dim=7, queries=queries, patterns=("random",) * 3, seed=seed) for seed in (1, 2)
    )
    heads = slice(queries, 2 * queries)  # of the KV head in the middle
    q, k, v = (theirs.copy() for theirs in (others.q, others.k, others.v))
    q[:, heads], k[:, 1], v[:, 1] = case.q[:, heads], case.k[:, 1], case.v[:, 1]
    single = dataclasses.replace(case.spec, heads=queries, kv_heads=1)
    alone = Case(spec=single, q=case.q[:, heads], k=case.k[:, 1:2], v=case.v[:, 1:2])
    answers = [decode(each, hardware) for each in (case, Case(spec=case.spec, q=q, k=k, v=v), alone)]
    for among, among_others, by_itself in zip(*map(arrays_of, answers), strict=True):
        np.testing.assert_array_equal(among_others[:, heads], among[:, heads])
        np.testing.assert_array_equal(by_itself, among[:, heads])


@every_variant
def test_query_heads_of_a_group_do_not_see_each_other(hardware, variant):
    """S0-15: the same as heads with K and V of their own, which are copies."""
    case = make_case(variant, tokens=25, dim=7, queries=3, patterns=("random", "alternating"), window=20)
    repeated = Case(
        spec=dataclasses.replace(case.spec, kv_heads=6),
        q=case.q,
        k=case.k.repeat(3, axis=1),
        v=case.v.repeat(3, axis=1),
    )
    assert_same(decode(case, hardware), decode(repeated, hardware))


@every_variant
def test_requests_are_rows_of_heads(hardware, variant):
    flat = make_case(variant, tokens=12, dim=5, patterns=("random",) * 6)
    folded = Case(
        spec=dataclasses.replace(flat.spec, heads=3, kv_heads=3),
        q=flat.q.reshape(2, 3, 5),
        k=flat.k.reshape(2, 3, 12, 5),
        v=flat.v.reshape(2, 3, 12, 5),
    )
    answers = decode(folded, hardware)
    assert_same(answers, folded.expected())
    for ours, theirs in zip(arrays_of(answers), arrays_of(decode(flat, hardware)), strict=True):
        np.testing.assert_array_equal(ours.reshape(theirs.shape), theirs)


@pytest.mark.parametrize("queries", [1, 3])
def test_every_head_has_its_own_logit_scale(hardware, queries):
    case = make_case(SOFTMAX[1], tokens=25, dim=7, queries=3 // queries, patterns=("random",) * queries)
    scales = (1e-5, 1e-3, 1.0)
    answers = decode(
        Case(spec=dataclasses.replace(case.spec, logit_scales=scales), q=case.q, k=case.k, v=case.v), hardware
    )
    for head, scale in enumerate(scales):
        one_for_all = dataclasses.replace(case.spec, logit_scales=(scale,))
        expected = Case(spec=one_for_all, q=case.q, k=case.k, v=case.v).expected()
        for ours, theirs in zip(answers, expected, strict=True):
            np.testing.assert_array_equal(ours[:, head], theirs[:, head])


# --- the set and its caller ------------------------------------------------------------------------------------------


@pytest.mark.quick
def test_leaving_the_block_frees_the_dpus(hardware):
    machine, case = Machine(hardware), make_case(WRAP[3], tokens=1, dim=4, patterns=("random",) * 150)
    with make_set(case, hardware, machine=machine, options=INTERPRETED) as attention:
        assert (machine.free_ranks, len(attention.dpus)) == (37, 150)
    assert machine.free_ranks == 40
    with pytest.raises(InvalidDpuSetError):
        attention.free()


@pytest.mark.quick
def test_a_set_takes_what_the_machine_has_left(hardware):
    machine, case = Machine(hardware), make_case(WRAP[3], tokens=1, dim=4, batch=30, patterns=("random",) * 100)
    with make_set(case, hardware, machine=machine, options=INTERPRETED) as attention:
        assert (attention.nr_waves, len(attention.dpus), machine.free_ranks) == (2, 2560, 0)


@pytest.mark.quick
@pytest.mark.parametrize("variant", [WRAP[0], WRAP[3]], ids=str)
def test_operands_need_not_be_contiguous(hardware, variant):
    case = make_case(variant, tokens=6, dim=3, patterns=("random",) * 4)
    halved = dataclasses.replace(case.spec, heads=2, kv_heads=2)
    strided = Case(spec=halved, q=case.q[:, ::-2], k=case.k[:, ::-2, ::2], v=case.v[:, ::-2, ::-2])
    for paging in ("contiguous", "paged"):
        assert_same(decode(strided, hardware, options=INTERPRETED, paging=paging), strided.expected())


@pytest.mark.quick
def test_pulled_answers_belong_to_the_caller(hardware):
    case = make_case(SOFTMAX[1], tokens=3, dim=4)
    with make_set(case, hardware, options=INTERPRETED) as attention:
        attention.load_kv(case.k, case.v)
        for _ in range(2):
            answers = attention.decode(case.q)
            assert_same(answers, case.expected())
            for part in answers:
                part[...] = 0
