"""The timeline of an allocation: one row per command, priced by `timing` and nothing else."""

from __future__ import annotations

import io

import numpy as np
import pytest

from pim_runtime import DpuFaultError, DpuProgram, DpuSet
from pim_runtime.api import DpuXfer, dpu_broadcast_to, dpu_copy_from, dpu_copy_to, dpu_prepare_xfer, dpu_push_xfer
from pim_runtime.device import barrier_wait, charge, halt, int64, me
from pim_runtime.timing import launch_costs, transfer_costs

pytestmark = pytest.mark.quick

FIELDS = ("operation", "mode", "what", "nr_dpus", "nbytes", "transfers")


@pytest.fixture
def hundred(allocate):
    """A hundred DPUs in two ranks."""
    return allocate(100)


def fields(row):
    return tuple(getattr(row, name) for name in FIELDS)


def costs(hardware, mode, nr_dpus, nr_ranks, nbytes):
    return transfer_costs(mode=mode, nr_dpus=nr_dpus, nr_ranks=nr_ranks, bytes_per_dpu=nbytes, hardware=hardware)


def test_a_load_has_a_row_without_time(hundred):
    (row,) = hundred.timeline.rows
    assert fields(row) == ("load", "serial", "shelf", 100, 0, 0)
    assert (row.start_ps, row.duration_ps, row.costs) == (0, 0, ())


def test_transfers_cost_what_timing_says(hundred, machine):
    dpu, rank = hundred.dpus()[70], hundred.ranks()[1]
    data = np.zeros((100, 16), np.int64)
    hundred.copy("rows", data)
    hundred.copy(data, "rows", size=64)
    hundred.copy("rows", bytes(24))
    hundred.copy("number", np.zeros((100, 1), np.int32))
    dpu.copy("rows", bytes(8))
    dpu.copy(bytearray(16), "rows")
    _ = rank.pair
    dpu_copy_to(hundred, "rows", 0, bytes(32))
    dpu_copy_to(dpu, "rows", 0, bytes(32))
    dpu_copy_from(dpu, "rows", 0, bytearray(128))
    dpu_broadcast_to(rank, "rows", 0, bytes(48))
    dpu_prepare_xfer(hundred, data)
    dpu_push_xfer(rank, DpuXfer.DPU_XFER_FROM_DPU, "rows", 8, 8)
    dpu_push_xfer(hundred, DpuXfer.DPU_XFER_TO_DPU, "rows", 0, 8)
    expected = [
        ("write", "push", "rows", 100, 2, 128), ("read", "pull", "rows", 100, 2, 64),
        ("write", "broadcast", "rows", 100, 2, 24),
        ("write", "push", "number", 100, 2, 4), ("write", "push", "rows", 1, 1, 8), ("read", "pull", "rows", 1, 1, 16),
        ("read", "pull", "pair", 36, 1, 16), ("write", "broadcast", "rows", 100, 2, 32),
        ("write", "serial_to", "rows", 1, 1, 32), ("read", "serial_from", "rows", 1, 1, 128),
        ("write", "broadcast", "rows", 36, 1, 48), ("read", "pull", "rows", 36, 1, 8),
        ("write", "push", "rows", 64, 1, 8),
    ]  # fmt: skip
    now = 0
    for row, (operation, mode, what, nr_dpus, nr_ranks, nbytes) in zip(
        hundred.timeline.rows[1:], expected, strict=True
    ):
        assert fields(row) == (operation, mode, what, nr_dpus, nr_dpus * nbytes, nr_dpus)
        assert row.costs == costs(machine.hardware, mode, nr_dpus, nr_ranks, nbytes)
        assert row.duration_ps == sum(cost.duration_ps for cost in row.costs) > 0
        assert row.start_ps == now
        now += row.duration_ps
    assert hundred.timeline.now_ps == now


def test_dpus_that_are_left_out_cost_nothing(hundred, machine):
    hundred.copy("rows", [bytes(8) if dpu in (1, 2, 99) else None for dpu in range(100)])
    hundred.copy("rows", [bytes(8) if dpu > 97 else None for dpu in range(100)])
    both, second = hundred.timeline.rows[-2:]
    assert fields(both) == ("write", "push", "rows", 3, 24, 3)
    assert both.costs == costs(machine.hardware, "push", 3, 2, 8)
    assert second.costs == costs(machine.hardware, "push", 2, 1, 8)


def test_launches_cost_what_timing_says(machine, interpreted):
    program = DpuProgram("work", nr_tasklets=3)
    slots = program.host("slots", int64)
    done = program.barrier("done")

    @program.kernel
    def work(t):
        charge(t, slots.load(t) * (me(t) + 1))
        yield barrier_wait(t, done)
        charge(t, 1000)

    with DpuSet(70, machine=machine, options=interpreted, binary=program) as dpus:
        dpus.copy("slots", np.arange(70).reshape(70, 1) * 1000)
        for part, nr_ranks in [(dpus, 2), (dpus.ranks()[0], 1), (dpus.dpus()[69], 1)]:
            (result,) = part.exec()
            row = dpus.timeline.rows[-1]
            assert fields(row) == ("launch", "synchronous", "work", len(part), 0, 0)
            assert row.costs == launch_costs(result.counters, nr_ranks=nr_ranks, hardware=machine.hardware)
            assert [cost.reason for cost in row.costs] == ["launch", "compute", "dma", "barrier"]
            assert row.duration_ps > 0


def test_different_programs_run_at_the_same_time(four, programs, machine):
    four.dpus()[1].load(programs[1])
    results = four.exec()
    row = four.timeline.rows[-1]
    prices = [launch_costs(result.counters, nr_ranks=1, hardware=machine.hardware) for result in results]
    assert row.duration_ps == max(sum(cost.duration_ps for cost in price) for price in prices)
    assert row.what == "shelf, silent"
    assert row.nr_dpus == 4


def test_a_launch_with_faults_takes_time_too(machine, interpreted):
    program = DpuProgram("stops", nr_tasklets=2)
    done = program.barrier("done")

    @program.kernel
    def stop(t):
        charge(t, 5000)
        yield barrier_wait(t, done)
        charge(t, 7000)
        yield barrier_wait(t, done)
        if me(t) == 1:
            halt(t)

    with DpuSet(2, machine=machine, options=interpreted, binary=program) as dpus:
        with pytest.raises(DpuFaultError) as caught:
            dpus.exec()
        assert {fault.phase for fault in caught.value.faults} == {2}
        row = dpus.timeline.rows[-1]
        assert row.operation == "launch"
        pipeline, slots = machine.hardware.pipeline, 5000 + 7000 + 1  # the comparison of the last phase
        cycles = slots * pipeline.reissue_cycles
        assert row.cost_ps("compute") == pytest.approx(cycles * 1_000_000 / pipeline.clock_mhz, rel=1e-9)


def test_reading_a_log_is_a_transfer(four):
    four.exec()
    before = len(four.timeline)
    four.dpus()[0].log(io.StringIO())
    state, words = four.timeline.rows[before:]
    assert fields(state) == ("read", "serial_from", "log", 1, 16, 1)
    assert fields(words) == ("read", "serial_from", "log", 1, 2 * 24, 1)


def test_what_is_refused_has_no_row(four):
    before = len(four.timeline), four.timeline.now_ps
    for attempt in (
        lambda: four.copy("nope", bytes(8)),
        lambda: four.copy("rows", bytes(4)),
        lambda: four.copy("rows", bytes(256)),
        lambda: four.copy([bytearray(8)] * 4, "rows"),
        lambda: four.exec(log=[None]),
    ):
        with pytest.raises(Exception, match=r"."):
            attempt()
    assert (len(four.timeline), four.timeline.now_ps) == before


def test_sums_and_columns(four):
    four.copy("rows", np.zeros((4, 16)))
    four.copy("rows", bytes(8))
    four.exec()
    four.copy(np.zeros((4, 2)), "rows")
    timeline = four.timeline
    assert timeline.nbytes("write") == 4 * 128 + 4 * 8
    assert timeline.nbytes("read") == 64
    parts = [timeline.duration_ps(operation) for operation in ("load", "write", "launch", "read")]
    assert timeline.duration_ps() == timeline.now_ps == sum(parts)
    columns = timeline.columns()
    assert columns["operation"].tolist() == ["load", "write", "write", "launch", "read"]
    assert columns["nbytes"].tolist() == [0, 512, 32, 0, 64]
    reasons = [name for name in columns if name.endswith("_ps") and name not in ("start_ps", "duration_ps")]
    np.testing.assert_array_equal(sum(columns[name] for name in reasons), columns["duration_ps"])
    np.testing.assert_array_equal(np.cumsum(columns["duration_ps"])[:-1], columns["start_ps"][1:])
