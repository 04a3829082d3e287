"""What attention moves: DMAs of the kernel (S0-11, S0-15) and transfers of the host (S0-12, M-6), counted exactly."""

from __future__ import annotations

from collections import Counter as Multiset

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels_for_tests.attention import (
    LINEAR,
    ONLINE,
    SOFTMAX,
    VARIANTS,
    WIDE,
    WRAP,
    ZSCORE,
    make_case,
    make_set,
    prefix,
    run,
)
from kernels_for_tests.attention_sizes import Sizes

from host.attention.merge_traffic import transfers_per_step
from host.attention.partition import Partition
from pim_runtime.counters import Counter

every_variant = pytest.mark.parametrize("variant", VARIANTS, ids=str)
one_of_each_norm = pytest.mark.parametrize(
    "variant", [WRAP[1], WIDE[1], ZSCORE[1], LINEAR[0], SOFTMAX[1], ONLINE[0]], ids=str
)


def totals(outcome, *counters):
    """Sums over the counters of each DPU, which are the same on all."""
    rows = outcome.result.counters.rows[..., list(counters)].sum(axis=(1, 2, 3))
    assert (rows == rows[0]).all()
    return int(rows[0])


def dmas(variant, *, dim, queries, tokens, window, workers, paged, alibi):
    """How many DMAs there are of each size: (reads, writes)."""
    size, is_online = Sizes.of(variant, dim, queries), variant.norm == "softmax_online"
    first = 0 if window is None else max(0, tokens - window)
    seen, groups = tokens - first, -(-tokens // 8) - first // 8
    reads, writes = Multiset(), Multiset()
    reads[size.q] += workers if queries == 1 else queries
    reads[size.row] += 2 * seen
    reads[8] += paged * groups * (1 if is_online else 2)
    reads[64] += alibi * groups * queries
    active = min(workers, groups) if is_online else workers
    writes[size.total] += (workers + 1) * size.totals
    reads[size.total] += active * size.totals
    writes[size.statistics] += queries * (size.statistics > 0)
    if not is_online:
        writes[size.scores * size.totals] += groups
        reads[size.scores * size.totals] += groups
    if variant.norm == "div_d":
        reads[size.scores * queries] += groups
        writes[size.scores * queries] += groups
    elif variant.norm in ("softmax", "zscore"):
        reads[size.scores] += groups * queries * (2 if variant.norm == "zscore" else 1)
        writes[size.scores] += groups * queries
    return reads, writes


def count_and_bytes(moved):
    return sum(moved.values()), sum(nbytes * count for nbytes, count in moved.items())


# --- the kernel ------------------------------------------------------------------------------------------------------


@every_variant
@settings(max_examples=10)
@given(
    tokens=st.integers(1, 150),
    dim=st.integers(1, 30),
    queries=st.sampled_from([1, 1, 2, 3]),
    window=st.none() | st.integers(1, 150),
    nr_tasklets=st.integers(2, 16),
    paging=st.sampled_from(["contiguous", "paged"]),
    alibi=st.sampled_from([0.0, 0.3]),
)
def test_dmas_of_the_kernel(hardware, variant, tokens, dim, queries, window, nr_tasklets, paging, alibi):
    case = make_case(variant, tokens=tokens, dim=dim, queries=queries, window=window, alibi=alibi)
    outcome = run(case, hardware, nr_tasklets=nr_tasklets, paging=paging)
    reads, writes = dmas(
        variant,
        dim=dim,
        queries=queries,
        tokens=tokens,
        window=window,
        workers=nr_tasklets - 1,
        paged=paging == "paged",
        alibi=alibi > 0,
    )
    assert (totals(outcome, Counter.READS), totals(outcome, Counter.READ_BYTES)) == count_and_bytes(reads)
    assert (totals(outcome, Counter.WRITES), totals(outcome, Counter.WRITE_BYTES)) == count_and_bytes(writes)


@pytest.mark.parametrize("variant", [*WRAP, *WIDE], ids=str)
@pytest.mark.parametrize("tokens", [8, 64, 1000])
def test_number_of_dmas_is_that_of_the_published_program(hardware, variant, tokens):
    """S0-11: 2L + 4 L/8 + 3W + 1."""
    outcome = run(make_case(variant, tokens=tokens, dim=16), hardware)
    assert totals(outcome, Counter.READS, Counter.WRITES) == 2 * tokens + 4 * tokens // 8 + 3 * 16 + 1


@pytest.mark.parametrize("variant", WRAP[1:], ids=str)
def test_bytes_of_wrapping_attention_are_those_of_the_published_program(hardware, variant):
    """S0-11: 2Ldb + 4Lb + (3W + 1)db, for lengths and rows that need no padding."""
    tokens, dim, workers = 64, 16, 16
    outcome = run(make_case(variant, tokens=tokens, dim=dim), hardware, nr_tasklets=workers + 1)
    itemsize = np.dtype(variant.dtype).itemsize
    expected = 2 * tokens * dim * itemsize + 4 * tokens * itemsize + (3 * workers + 1) * dim * itemsize
    assert totals(outcome, Counter.READ_BYTES, Counter.WRITE_BYTES) == expected


@one_of_each_norm
@pytest.mark.parametrize("queries", [2, 4, 8])
def test_queries_that_share_a_head_read_its_rows_once(hardware, variant, queries):
    """S0-15: a KV head's rows are read once for all of its queries; scores, sums and transfers are those of each."""
    tokens, dim, workers = 64, 16, 8
    sizes = [Sizes.of(variant, dim, n) for n in (1, queries)]
    single, shared = (
        run(make_case(variant, tokens=tokens, dim=dim, queries=n), hardware, nr_tasklets=workers + 1)
        for n in (1, queries)
    )
    per_query = workers * sizes[0].total + (0 if variant.norm == "softmax_online" else tokens // 8 * sizes[0].scores)
    if variant.norm in ("div_d", "softmax", "zscore"):  # scores are also normalised, z-scores measured first
        per_query += tokens // 8 * sizes[0].scores * (2 if variant.norm == "zscore" else 1)
    extra = queries * per_query - per_query + queries * sizes[0].q - workers * sizes[0].q
    assert totals(shared, Counter.READ_BYTES) - totals(single, Counter.READ_BYTES) == extra
    pushed, pulled = (
        [[row.nbytes for row in outcome.timeline[-3:] if row.operation == way] for outcome in (single, shared)]
        for way in ("write", "read")
    )
    assert pushed[1] == [queries * pushed[0][0]]
    assert pulled == [[size.totals * size.output] for size in sizes]


@every_variant
@pytest.mark.parametrize("queries", [1, 3])
def test_other_events_of_the_kernel(hardware, variant, queries):
    outcome = run(make_case(variant, tokens=20, dim=4, queries=queries), hardware, nr_tasklets=12)
    barriers = {"div_d": 4, "zscore": 5, "zscore_linear": 3, "softmax": 4, "softmax_online": 2}
    assert outcome.result.counters.barriers.tolist() == [barriers[variant.norm]]
    # Of each tasklet: padding twice, rows, packed rows, query, sums, narrow sums, scores, cells. Of the master: notes,
    # all queries, and the part that it merges.
    first_in_32_bits = str(variant) in ("int4-div_d", "int8-div_d", "int4-zscore", "int8-zscore")
    of_each = 6 + (variant.dtype == "int4") + (queries == 1) + first_in_32_bits
    assert totals(outcome, Counter.ALLOCS) == 12 * of_each + 2 + (queries > 1)
    assert totals(outcome, Counter.LOCKS, Counter.SYNCS) == 0


@pytest.mark.parametrize("variant", [*WRAP, *WIDE], ids=str)
def test_the_work_is_shared_by_groups_of_eight_tokens(hardware, variant):
    """Worker w reads the rows of groups g with g mod workers = w; the master reads none."""
    rows = run(make_case(variant, tokens=43, dim=4), hardware, nr_tasklets=5).result.counters.rows[0]
    tokens_of_worker = [8 + 8, 8 + 3, 8, 8]
    groups_of_worker = [2, 2, 1, 1]
    assert rows[1, :, Counter.READS].tolist() == [0] + [1 + tokens for tokens in tokens_of_worker]
    assert rows[2, :, Counter.READS].tolist() == [0, *groups_of_worker]
    sums = [groups + tokens for groups, tokens in zip(groups_of_worker, tokens_of_worker, strict=True)]
    assert rows[3, :, Counter.READS].tolist() == [0, *sums]
    assert rows[4, :, Counter.READS].tolist() == [4, 0, 0, 0, 0]


@one_of_each_norm
def test_a_window_starts_with_the_first_worker(hardware, variant):
    """Groups are counted from the group of the first visible token: a short window has a group for every worker."""
    case = make_case(variant, tokens=400, dim=4, window=29)  # tokens 371 to 399 lie in 4 groups
    rows = run(case, hardware, nr_tasklets=5).result.counters.rows[0]
    keys_and_values = 2 if variant.norm == "softmax_online" else 1
    assert rows[1, :, Counter.READS].tolist() == [0] + [1 + keys_and_values * n for n in (5, 8, 8, 8)]


# --- the host --------------------------------------------------------------------------------------------------------


def steps_of(case, hardware, *, nr_steps=2, **how):
    """Transfers and launches of decode steps with different queries."""
    with make_set(case, hardware, **how) as attention:
        attention.load_kv(case.k, case.v)
        loaded = len(attention.timeline.rows)
        for step in range(nr_steps):
            attention.decode(case.q // (1 + step))
        return attention.timeline.rows[loaded:]


@every_variant
@pytest.mark.parametrize("queries", [1, 2])
def test_transfers_of_the_host(hardware, variant, queries):
    """S0-12: two transfers per step."""
    tokens, dim, nr_dpus = 16, 24, 3
    case = make_case(variant, tokens=tokens, dim=dim, queries=queries, patterns=("random",) * nr_dpus)
    size = Sizes.of(variant, dim, queries)
    steps = steps_of(case, hardware)
    assert [(row.operation, row.mode, row.transfers, row.nbytes) for row in steps] == 2 * [
        ("write", "push", nr_dpus, nr_dpus * queries * size.q),
        ("launch", "synchronous", 0, 0),
        ("read", "pull", nr_dpus, nr_dpus * size.totals * size.output),
    ]
    if variant.acc == "wrap":
        assert size.output == size.q  # nothing but the outputs


@every_variant
@pytest.mark.parametrize("partition", [Partition(3), Partition(2, "interleave")], ids=str)
def test_transfers_of_a_split_head(hardware, variant, partition):
    """M-6: two transfers per step, four with the statistics of z-scores in between (M-5), which take two launches."""
    case = make_case(variant, tokens=30, dim=8, queries=2, patterns=("random", "random"))
    steps = steps_of(case, hardware, partition=partition)
    scheme = "two_launches" if variant.norm == "zscore" else "sums"
    operations = {"sums": ["write", "launch", "read"], "two_launches": ["write", "launch", "read"] * 2}[scheme]
    assert [row.operation for row in steps] == 2 * operations
    assert sum(row.operation != "launch" for row in steps) == 2 * transfers_per_step(scheme)
    assert {row.what for row in steps if row.operation == "write"} - {"constants"} == {steps[0].what}


@every_variant
@pytest.mark.parametrize(
    ("how", "new_blocks"),
    [
        ({}, 0),
        ({"paging": "paged"}, 2),
        ({"partition": Partition(2)}, 0),
        ({"partition": Partition(2), "paging": "paged"}, 0),
    ],
    ids=str,
)
def test_an_appended_token_costs_two_rows(hardware, variant, how, new_blocks):
    """S0-14: one row of K and one of V, to the DPU that has the newest tokens; a new block is told its address."""
    case, size = make_case(variant, tokens=18, dim=24, patterns=("random", "random")), Sizes.of(variant, 24)
    before_last = prefix(case, 16)
    with make_set(case, hardware, **how) as attention:
        attention.load_kv(before_last.k, before_last.v)
        for token, expected in ((16, [8 * new_blocks] * (new_blocks > 0)), (17, [])):
            before = len(attention.timeline.rows)
            attention.append(case.k[:, :, token], case.v[:, :, token])
            written = [row for row in attention.timeline.rows[before:] if row.what != "arguments"]
            assert [(row.operation, row.nbytes) for row in written] == [
                ("write", nbytes) for nbytes in [*expected, 2 * size.row, 2 * size.row]
            ]


@one_of_each_norm
def test_every_wave_is_a_step_of_its_own(hardware, variant):
    case = make_case(variant, tokens=9, dim=8, batch=2, patterns=("random",) * 3)
    steps = steps_of(case, hardware, nr_dpus=4, nr_steps=1)
    launches = [row for row in steps if row.operation == "launch"]
    pulled = sum(row.nbytes for row in steps if row.operation == "read")
    assert len(launches) == 2
    assert pulled == 6 * Sizes.of(variant, 8).totals * Sizes.of(variant, 8).output


def test_a_query_costs_the_same_wherever_its_context_is(hardware):
    """Paging, which a launch pays for with reads of 8 bytes, costs the host nothing more per step."""
    case = make_case(SOFTMAX[1], tokens=40, dim=8, patterns=("random", "random"))
    contiguous, paged = (
        [(row.operation, row.nbytes) for row in steps_of(case, hardware, paging=paging)]
        for paging in ("contiguous", "paged")
    )
    assert contiguous == paged
