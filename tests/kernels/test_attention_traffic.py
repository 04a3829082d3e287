"""What attention moves: DMAs of the kernel (S0-11) and transfers of the host (S0-12), counted exactly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels_for_tests.attention import VARIANTS, Sizes, make_case, make_set, run

from pim_runtime.counters import Counter

every_variant = pytest.mark.parametrize("variant", VARIANTS, ids=str)


def totals(outcome, *counters):
    """Sums over the counters of each DPU, which are the same on all."""
    rows = outcome.result.counters.rows[..., list(counters)].sum(axis=(1, 2, 3))
    assert (rows == rows[0]).all()
    return int(rows[0])


@every_variant
@settings(max_examples=15, deadline=None)
@given(tokens=st.integers(1, 150), dim=st.integers(1, 40), nr_tasklets=st.integers(2, 24))
def test_dmas_of_the_kernel(hardware, variant, tokens, dim, nr_tasklets):
    outcome = run(make_case(variant, tokens=tokens, dim=dim), hardware, nr_tasklets=nr_tasklets)
    workers, groups, size = nr_tasklets - 1, -(-tokens // 8), Sizes.of(variant, dim)
    assert totals(outcome, Counter.READS, Counter.WRITES) == 2 * tokens + 4 * groups + 3 * workers + 1
    # Q of every worker, K and V rows, scores for the norm and for the sums, partial outputs
    read_bytes = (workers + 2 * tokens) * size.row + 2 * groups * size.group + workers * size.output
    # scores, normalised scores, partial outputs, output
    write_bytes = 2 * groups * size.group + (workers + 1) * size.output
    assert totals(outcome, Counter.READ_BYTES) == read_bytes
    assert totals(outcome, Counter.WRITE_BYTES) == write_bytes


@pytest.mark.parametrize("variant", VARIANTS[:3], ids=str)
def test_bytes_of_wrapping_attention_are_those_of_the_published_program(hardware, variant):
    """2Ldb + 4Lb + (3W + 1)db, for lengths and rows that need no padding."""
    tokens, dim, workers = 64, 16, 16
    outcome = run(make_case(variant, tokens=tokens, dim=dim), hardware, nr_tasklets=workers + 1)
    row_bytes = dim * variant.kind.itemsize
    expected = 2 * tokens * row_bytes + 4 * tokens * variant.kind.itemsize + (3 * workers + 1) * row_bytes
    assert totals(outcome, Counter.READ_BYTES, Counter.WRITE_BYTES) == expected


@every_variant
def test_other_events_of_the_kernel(hardware, variant):
    outcome = run(make_case(variant, tokens=20, dim=4), hardware, nr_tasklets=12)
    assert outcome.result.counters.barriers.tolist() == [4]
    assert totals(outcome, Counter.ALLOCS) == 6 * 12 + 1
    assert totals(outcome, Counter.LOCKS, Counter.SYNCS) == 0


@every_variant
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


@every_variant
def test_transfers_of_the_host(hardware, variant):
    tokens, dim, nr_dpus = 16, 24, 3
    case, size = make_case(variant, tokens=tokens, dim=dim, patterns=("random",) * nr_dpus), Sizes.of(variant, dim)
    with make_set(case, hardware) as attention:
        attention.load_kv(case.k, case.v)
        loaded = len(attention.timeline.rows)
        for _ in range(2):
            attention.decode(case.q)
        steps = attention.timeline.rows[loaded:]
        kv_rows = [row for row in attention.timeline.rows[:loaded] if row.nbytes == nr_dpus * tokens * size.row]
    assert len(kv_rows) == 2
    assert [(row.operation, row.mode, row.transfers, row.nbytes) for row in steps] == 2 * [
        ("write", "push", nr_dpus, nr_dpus * size.row),
        ("launch", "synchronous", 0, 0),
        ("read", "pull", nr_dpus, nr_dpus * size.output),
    ]
    if variant.acc == "wrap":
        assert size.row == size.output == dim * variant.kind.itemsize


def test_an_appended_token_costs_two_rows(hardware):
    case = make_case(VARIANTS[0], tokens=2, dim=24, patterns=("random", "random"))
    with make_set(case, hardware) as attention:
        attention.load_kv(case.k[:, :, :1], case.v[:, :, :1])
        before = len(attention.timeline.rows)
        attention.append(np.ascontiguousarray(case.k[:, :, 1]), np.ascontiguousarray(case.v[:, :, 1]))
        mram = [row for row in attention.timeline.rows[before:] if row.what != "arguments"]
    assert [(row.operation, row.nbytes) for row in mram] == 2 * [("write", 2 * 24)]
