"""Pricing a finished run again: the same machine changes nothing, another one exactly what it should."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pim_runtime.counters import NR_COUNTERS, Counter, LaunchCounters
from pim_runtime.errors import ProfileError
from pim_runtime.hardware import available_profiles, load_profile
from pim_runtime.report.reprice import reprice
from pim_runtime.timeline import Timeline
from pim_runtime.timing import LaunchWork, TransferWork

pytestmark = pytest.mark.quick

MACHINES = {name: load_profile(name) for name in available_profiles()}
V1A = MACHINES["upmem-v1a"]
REASONS = ("launch", "compute", "dma", "barrier", "transfer_setup", "transfer")


def transfer(timeline, mode, nr_dpus, bytes_per_dpu, waiting="synchronous"):
    nr_ranks = -(-nr_dpus // 64)
    timeline.append(
        "read" if mode in ("pull", "serial_from") else "write",
        mode=mode,
        what="symbol",
        nr_dpus=nr_dpus,
        nbytes=nr_dpus * bytes_per_dpu,
        transfers=nr_dpus,
        work=TransferWork(mode=mode, nr_dpus=nr_dpus, nr_ranks=nr_ranks, bytes_per_dpu=bytes_per_dpu),
        ranks=range(nr_ranks),
        waiting=waiting,
    )


def launch(timeline, rows, nr_ranks=1, waiting="synchronous"):
    timeline.append(
        "launch",
        mode="synchronous",
        what="kernel",
        nr_dpus=len(rows),
        nbytes=0,
        transfers=0,
        work=LaunchWork(counters=(LaunchCounters.of(rows),), lines=(), nr_ranks=nr_ranks),
        ranks=range(nr_ranks),
        waiting=waiting,
    )


def random_rows(seed, nr_dpus, nr_phases, nr_tasklets):
    return np.random.default_rng(seed).integers(0, 10**6, (nr_dpus, nr_phases, nr_tasklets, NR_COUNTERS))


@st.composite
def timelines(draw, hardware=V1A):
    timeline = Timeline(hardware)
    for _ in range(draw(st.integers(0, 6))):
        waiting = draw(st.sampled_from(["synchronous", "asynchronous"]))
        match draw(st.sampled_from(["transfer", "launch", "sync", "load"])):
            case "transfer":
                mode = draw(st.sampled_from(["push", "pull", "broadcast", "serial_to", "serial_from"]))
                transfer(timeline, mode, draw(st.integers(1, 1024)), draw(st.integers(1, 1 << 26)), waiting)
            case "launch":
                shape = draw(st.integers(1, 3)), draw(st.integers(1, 2)), draw(st.integers(1, 24))
                launch(timeline, random_rows(draw(st.integers(0, 99)), *shape), draw(st.integers(1, 16)), waiting)
            case "sync":
                timeline.sync(draw(st.sets(st.integers(0, 15))))
            case "load":
                timeline.append(
                    "load", mode="serial", what="k", nr_dpus=1, nbytes=0, transfers=0, work=None, ranks=(0,)
                )
    return timeline


@settings(max_examples=50, deadline=None)
@given(timelines())
def test_on_the_same_machine_nothing_changes(timeline):
    before = list(timeline.rows)
    repriced = reprice(timeline, V1A)
    assert repriced.rows == timeline.rows == before
    assert repriced.rows is not timeline.rows
    assert (repriced.now_ps, repriced.end_ps) == (timeline.now_ps, timeline.end_ps)


@settings(max_examples=30, deadline=None)
@given(timelines(), st.sampled_from(available_profiles()))
def test_on_another_machine_and_back_nothing_changes(timeline, name):
    there = reprice(timeline, MACHINES[name])
    assert there.hardware == MACHINES[name]
    assert [row.work for row in there.rows] == [row.work for row in timeline.rows]
    back = reprice(there, V1A)
    assert back.rows == timeline.rows


@settings(max_examples=50, deadline=None)
@given(timelines())
def test_twice_the_clock_halves_the_kernel_and_nothing_else(timeline):
    faster = reprice(timeline, V1A.with_values({"pipeline.clock_mhz": 700}))
    for before, after in zip(timeline.rows, faster.rows, strict=True):
        for reason in REASONS:
            before_ps, after_ps = before.cost_ps(reason), after.cost_ps(reason)
            if reason in ("compute", "dma", "barrier"):
                assert abs(before_ps - 2 * after_ps) <= 1  # each rounded by half a picosecond
            else:
                assert before_ps == after_ps


def finished():
    """A push of 1 KiB to 64 DPUs, a launch that computes for 1,100,000 cycles, a pull."""
    timeline = Timeline(V1A)
    rows = np.zeros((64, 1, 1, NR_COUNTERS), np.int64)
    rows[..., Counter.SLOTS] = 100_000
    transfer(timeline, "push", 64, 1024)
    launch(timeline, rows)
    transfer(timeline, "pull", 64, 1024)
    return timeline


def test_on_machines_whose_prices_are_known():
    assert [row.duration_ps for row in finished().rows] == [26_620_000, 46_900_000 + 3_142_857_143, 74_110_000]
    seed = reprice(finished(), MACHINES["seed-2023"]).rows
    assert [row.duration_ps // 1000 for row in seed] == [112_361, 100_000 + 3_142_857, 124_115]
    assert [row.start_ps for row in seed] == [0, seed[0].duration_ps, seed[0].duration_ps + seed[1].duration_ps]


def test_one_price_changes_what_it_prices():
    slower = reprice(finished(), V1A.with_values({"launch.setup_us": 145, "pipeline.reissue_cycles": 22}))
    differences = [
        {reason for reason in REASONS if before.cost_ps(reason) != after.cost_ps(reason)}
        for before, after in zip(finished().rows, slower.rows, strict=True)
    ]
    assert differences == [set(), {"launch", "compute"}, set()]
    assert slower.rows[1].cost_ps("launch") - finished().rows[1].cost_ps("launch") == 100_000_000
    assert slower.rows[1].cost_ps("compute") == 6_285_714_286


def test_a_run_that_the_machine_cannot_hold_is_refused():
    timeline = Timeline(V1A)
    rows = np.zeros((1, 1, 24, NR_COUNTERS), np.int64)
    rows[..., Counter.BARRIERS] = 1
    launch(timeline, rows)
    small = V1A.with_values({"dpu.max_tasklets": 16})
    with pytest.raises(ValueError, match="24 tasklets"):
        reprice(timeline, small)
    with pytest.raises(ValueError, match="a rank has 1 to 32 DPUs"):
        reprice(finished(), V1A.with_values({"geometry.chips_per_rank": 4}))
    with pytest.raises(ProfileError):
        V1A.with_values({"pipeline.clock_mhz": 0})
