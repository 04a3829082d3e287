"""A fault stops its DPU only: the others finish, all memories stay readable, the set goes on, reports stay short."""

from __future__ import annotations

import numpy as np
import pytest

from dpu_kernels.hazards.broken_rules import Rule
from pim_runtime import DpuFaultError
from pim_runtime.counters import Counter
from pim_runtime.device.faults import FaultCode

GOOD_WRITE, BAD_WRITE = ("WRITE", 64, 0, 16, 4096), ("WRITE", 64, 0, 12, 4096)
NR_DPUS = 66


def faults_of(run, requests):
    with pytest.raises(DpuFaultError) as caught:
        run(requests)
    return caught.value


def test_the_others_complete_and_all_memories_are_readable(run, misbehaving):
    rows = np.arange(NR_DPUS * 512, dtype=np.int64).reshape(NR_DPUS, 512)
    misbehaving.copy("table", rows)
    requests = dict.fromkeys(range(NR_DPUS), GOOD_WRITE) | {7: BAD_WRITE, 40: ("LOAD", 8)}
    error = faults_of(run, requests)
    assert [fault.dpu for fault in error.faults] == [7, 40]
    assert [dpu for dpu, value in enumerate(misbehaving.answer.int64()) if not value] == [7, 40]
    table = np.empty_like(rows)
    misbehaving.copy(table, "table")
    written = rows.copy()
    written[:, 8:10] = 0  # what the good writes did
    written[[7, 40]] = rows[[7, 40]]
    np.testing.assert_array_equal(table, written)


def test_the_set_goes_on_after_a_fault(run):
    faults_of(run, {3: ("HALT", 1, 1)})
    assert set(run({})) == {1}
    assert set(run(dict.fromkeys(range(NR_DPUS), GOOD_WRITE))) == {1}


def test_a_set_of_faulty_dpus_only(run, misbehaving):
    error = faults_of(run, dict.fromkeys(range(NR_DPUS), ("ASSERT_THAT", 0, 1)))
    assert [fault.dpu for fault in error.faults] == list(range(NR_DPUS))
    assert str(error).startswith("dpu is in fault: 66 of 66 DPUs\nranks 0-1, DPUs 0-65, tasklet 2, phase 1, at ")
    assert len(str(error).splitlines()) == 3, "one place, one paragraph"
    assert not any(misbehaving.answer.int64())


def test_dpus_that_fail_alike_share_a_report_with_ranges(run):
    error = faults_of(run, dict.fromkeys((0, 1, 2, 3, 17, 63, 64), ("LOAD", 8)))
    lines = str(error).splitlines()
    assert lines[0] == "dpu is in fault: 7 of 66 DPUs"
    assert lines[1].startswith("ranks 0-1, DPUs 0-3, 17, 63-64, tasklet 2, phase 1, at ")
    assert len(lines) == 3
    assert len(error.faults) == 7


def test_faults_in_two_places_are_both_reported(run, source):
    error = faults_of(run, {1: ("LOAD", 9), 2: BAD_WRITE, 64: ("LOAD", 9), 65: BAD_WRITE})
    lines = str(error).splitlines()
    load, write = source.line_of("result = words.array(t)[a]"), source.line_of("mram_write(t, bytes_")
    assert lines[0] == "dpu is in fault: 4 of 66 DPUs"
    assert lines[1].startswith("ranks 0-1, DPUs 1, 64, tasklet 2, phase 1, at ")
    assert f":{load} `" in lines[1]
    assert "index 9" in lines[2]
    assert lines[3].startswith("ranks 0-1, DPUs 2, 65, tasklet 2, phase 1, at ")
    assert f":{write} `" in lines[3]
    assert "12 bytes" in lines[4]
    assert [(fault.dpu, fault.line) for fault in error.faults] == [(1, load), (2, write), (64, load), (65, write)]


def test_values_that_differ_are_shown_as_ranges(run):
    error = faults_of(run, {0: ("LOAD", 8), 1: ("LOAD", 9), 2: ("LOAD", 8), 5: ("LOAD", 200)})
    _, where, example, others = str(error).splitlines()
    assert where.startswith("rank 0, DPUs 0-2, 5, tasklet 2, phase 1, at ")
    assert example.startswith("    index 8 of a WRAM view with 8 elements")
    assert others == "    (this is DPU 0; over all of them: index 8-9, 200)"


@pytest.mark.parametrize("culprit", [0, 1, 3])
def test_the_tasklet_in_fault_is_named(run, misbehaving, culprit):
    with pytest.raises(DpuFaultError) as caught:
        run({5: ("HALT", 1, 1)}, culprit=culprit)
    assert caught.value.faults[0].tasklet == culprit
    assert f"rank 0, DPU 5 (0.0.5), tasklet {culprit}, phase 1" in str(caught.value)


def test_a_fault_leaves_nothing_in_the_next_report(run):
    first = faults_of(run, {0: ("WINDOW", 4, 5)}).faults[0]
    second = faults_of(run, {0: ("LOAD", 8)}).faults[0]
    third = faults_of(run, {0: ("FLOOR_DIVIDE", 1, 0)}).faults[0]
    assert first.values == (4, 5, 8, 0)
    assert second.values == (8, 8, 7, 0)
    assert (third.code, third.values) == (FaultCode.DIVISION_BY_ZERO, (0, 0, 0, 0))


def test_a_faulty_launch_is_on_the_timeline_with_the_work_that_was_done(run, misbehaving):
    run({0: GOOD_WRITE})
    clean = misbehaving.timeline.rows[-2]  # the last row is the read of `answer`
    faults_of(run, {1: BAD_WRITE, 0: GOOD_WRITE})
    faulty = misbehaving.timeline.rows[-1]
    assert clean.operation == faulty.operation == "launch"
    assert faulty.costs == clean.costs, "DPU 0 is the slowest in both"


def test_launch_counters_of_a_clean_launch_after_a_fault(run, misbehaving):
    faults_of(run, {1: BAD_WRITE})
    misbehaving.request = np.array([Rule.WRITE, 64, 0, 16, 4096]).view(np.uint8)
    (result,) = misbehaving.exec()
    assert result.counters.total(Counter.WRITES) == NR_DPUS
    assert result.counters.barriers.tolist() == [1] * NR_DPUS
