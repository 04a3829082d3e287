"""A run that goes on from a checkpoint ends with the bits and the simulated time of one that was never interrupted."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from walker import KILLED_AFTER, NR_STEPS, fill, fingerprint, new_set

from pim_runtime import DpuContext
from pim_runtime.hardware import load_profile
from pim_runtime.report.breakdown import evidence
from pim_runtime.report.reprice import reprice

WORDS = (1 << 16) - 8  # of `history`, but for the longest write
WRITES = st.lists(st.tuples(st.integers(0, 69), st.integers(0, WORDS - 8), st.binary(min_size=8, max_size=64)))


def run(path, task):
    """(exit code, what it printed) of the walker in a process of its own."""
    script = Path(__file__).with_name("walker.py")
    command = [sys.executable, "-W", "error", str(script), str(path), task]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=script.parents[2])
    assert ran.returncode in (0, -signal.SIGKILL), ran.stderr
    return ran.returncode, ran.stdout.strip()


def test_a_killed_run_resumes(tmp_path, walkers):
    assert run(tmp_path / "state", "killed") == (-signal.SIGKILL, "")
    assert DpuContext.open(tmp_path / "state").note == {"steps done": KILLED_AFTER}
    uninterrupted = walkers()
    fill(uninterrupted)
    for _ in range(NR_STEPS):
        uninterrupted.exec()
    assert run(tmp_path / "state", "resumed") == (0, fingerprint(uninterrupted))


def test_going_back_in_one_process(walkers):
    dpus = walkers()
    fill(dpus)
    dpus.exec()
    before = dpus.checkpoint()
    dpus.exec()
    dpus.exec()
    after = fingerprint(dpus)
    dpus.restore(before)
    assert fingerprint(dpus) != after
    dpus.exec()
    dpus.exec()
    assert fingerprint(dpus) == after


@pytest.fixture(scope="module")
def two_sets():
    """A set to save, and one to restore."""
    with new_set() as saved, new_set() as restored:
        yield saved, restored


@settings(max_examples=30)
@given(writes=WRITES)
def test_random_states_come_back(two_sets, writes):
    saved, restored = two_sets
    for dpu, word, data in writes:
        saved.dpus()[dpu].copy("history", data[: len(data) & -8], offset=8 * word)
    restored.restore(DpuContext.from_buffer(saved.checkpoint().serialize()))
    assert fingerprint(restored) == fingerprint(saved)


def test_a_context_does_not_change_with_its_dpus(walkers):
    dpus = walkers()
    fill(dpus)
    context = dpus.checkpoint()
    saved = context.serialize()
    dpus.exec()
    assert context.serialize() == saved
    dpus.restore(context)
    assert dpus.checkpoint().serialize() == saved


def test_reports_of_a_resumed_run_see_all_rows(walkers, tmp_path):
    dpus, other = walkers(), walkers()
    fill(dpus)
    for _ in range(3):
        dpus.exec()
    dpus.checkpoint().save(tmp_path / "state")
    other.restore(DpuContext.open(tmp_path / "state"))
    assert other.timeline.rows == dpus.timeline.rows
    hardware = load_profile("upmem-v1a")
    assert evidence(other.timeline.rows, hardware) == evidence(dpus.timeline.rows, hardware)
    faster = hardware.with_values({"pipeline.clock_mhz": 700})
    assert reprice(other.timeline, faster).rows == reprice(dpus.timeline, faster).rows
    for here, there in zip(dpus.timeline.rows, other.timeline.rows, strict=True):
        if here.operation == "launch":
            lines = [(row.filename, row.line, row.counts.tolist()) for row in here.work.lines[0].rows]
            assert lines == [(row.filename, row.line, row.counts.tolist()) for row in there.work.lines[0].rows]
            assert (here.work.counters[0].rows == there.work.counters[0].rows).all()


def test_a_rank_and_a_dpu_leave_the_clock_of_the_set_alone(walkers):
    dpus, other = walkers(), walkers()
    fill(dpus)
    dpus.exec()
    now = other.timeline.now_ps
    other.ranks()[1].restore(dpus.ranks()[1].checkpoint())
    other.dpus()[3].restore(dpus.dpus()[5].checkpoint())
    other.dpus()[4].restore(dpus.checkpoint()[6])
    assert other.timeline.now_ps == now
    before, after = dpus.checkpoint().state, other.checkpoint().state
    for here, there in [*((dpu, dpu) for dpu in range(64, 70)), (3, 5), (4, 6)]:
        assert contents(after, here) == contents(before, there)
    assert contents(after, 0) != contents(before, 0)


def contents(state, dpu):
    """All that is not zero in the memories of a DPU."""
    return [
        (blocks.numbers.tolist(), blocks.contents.tobytes())
        for blocks in (blocks.of_dpu(dpu) for blocks in state.memories.values())
    ]
