"""Counters, logs and the performance counter, against what the kernels' sources say."""

from __future__ import annotations

import numpy as np
import pytest
from kernels_for_tests import memory, output
from kernels_for_tests import synchronisation as sync
from kernels_for_tests.running import run

from pim_runtime.counters import Counter
from pim_runtime.device import COUNT_CYCLES, COUNT_INSTRUCTIONS


def test_slots_are_kept_by_phase_and_tasklet(engine, hardware):
    rounds = np.array([[1], [0], [2]], np.int32)
    outcome = run(sync.scan, engine, hardware, nr_dpus=3, nr_tasklets=11, inputs={"rounds": rounds})
    rows, barriers = (np.array(part) for part in outcome.counters[0])
    assert barriers.tolist() == [8, 0, 16]  # two per doubling of the distance
    expected = np.zeros_like(rows)
    for dpu, opened in enumerate(barriers):
        expected[dpu, :opened:2, :, Counter.SLOTS] = 3 + np.arange(11)
    np.testing.assert_array_equal(rows, expected)


def test_dma_alloc_and_lock_events_are_counted(engine, hardware):
    rows = np.array(run(memory.reduction, engine, hardware, nr_dpus=2).counters[0][0])
    of_one_tasklet = {
        Counter.READS: 1,
        Counter.READ_BYTES: 4 * memory.BLOCK,
        Counter.WRITES: 1,
        Counter.WRITE_BYTES: 4 * memory.BLOCK,
        Counter.ALLOCS: 1,
        Counter.SLOTS: 5 * memory.BLOCK,
    }
    expected = np.zeros_like(rows)
    for counter, amount in of_one_tasklet.items():
        expected[:, 1, :, counter] = amount
    np.testing.assert_array_equal(rows, expected)

    inputs = {"strategy": np.full((1, 1), sync.LOCK, np.int32), "rounds": np.full((1, 1), 5, np.int32)}
    rows = np.array(run(sync.count_together, engine, hardware, nr_dpus=1, inputs=inputs).counters[0][0])
    assert (rows[0, 0, :, Counter.LOCKS] == 2 * 5).all()
    assert (rows[0, 0, :, Counter.SYNCS] == 2 * 5).all()


@pytest.mark.parametrize("value", [0, 5, -1, -(1 << 63), (1 << 31) + 3, 0x1234_5678_9ABC_DEF0])
def test_formats_are_those_of_c(engine, hardware, value):
    inputs = {"value": np.array([[value]])}
    low, high = value & 0xFFFF_FFFF, value & 0xFFFF_FFFF_FFFF_FFFF
    as_int = (low ^ 1 << 31) - (1 << 31)
    (log,) = run(output.printing, engine, hardware, nr_dpus=1, nr_tasklets=3, inputs=inputs).logs
    assert log == (
        "=== DPU#0x0 ===\n"
        f"{as_int}|{low}|{low:x}|{value}|{high}|{high:x}\n"
        f"   42|-7   |{high:08x}|{chr(65 + (value & 15))}|100%\n"
        "no argument\n"
        "tasklet 1 of 3\n"
        "tasklet 2 of 3\n"
    )


def test_an_empty_log_has_its_header_only(engine, hardware):
    outcome = run(output.printing, engine, hardware, nr_dpus=2, inputs={"is_quiet": np.ones((2, 1), np.int64)})
    assert outcome.logs == ["=== DPU#0x0 ===\n=== DPU#0x1 ===\n"]


def test_the_log_starts_afresh_at_every_launch(engine, hardware):
    logs = run(output.printing, engine, hardware, nr_dpus=2, nr_tasklets=2, launches=3).logs
    assert logs[0] == logs[1] == logs[2] != ""


@pytest.mark.parametrize("what", [COUNT_CYCLES, COUNT_INSTRUCTIONS])
@pytest.mark.parametrize("nr_tasklets", [1, 16])
def test_performance_counter_never_runs_backwards(engine, hardware, what, nr_tasklets):
    inputs = {"what": np.array([[what]])}
    outcome = run(output.measure, engine, hardware, nr_dpus=1, nr_tasklets=nr_tasklets, inputs=inputs)
    samples = outcome.of("samples").reshape(24, output.NR_SAMPLES)[:nr_tasklets]
    assert not (samples % 16).any()
    assert (np.diff(samples, axis=1) >= 0).all()
    assert (samples[:, 4] > samples[:, 0]).all()
    assert outcome.of("previous")[0, 0] >= samples.max()


def test_performance_counter_counts_in_steps_of_16(hardware, engine):
    """With one tasklet and instructions counted, 7 slots lie between samples and each DMA instruction is one more."""
    inputs = {"what": np.array([[COUNT_INSTRUCTIONS]])}
    samples = run(output.measure, engine, hardware, nr_dpus=1, nr_tasklets=1, inputs=inputs).of("samples")
    slots = [0, 7, 14, 21, 29, 36, 44, 51]
    assert samples[0, : output.NR_SAMPLES].tolist() == [n & -16 for n in slots]
