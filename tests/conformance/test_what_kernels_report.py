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
    """`scan`, from its source: two barriers per doubling of the distance. A block counts where it begins."""
    rounds, nr_tasklets = [1, 0, 2], 11
    inputs = {"rounds": np.array(rounds, np.int32)[:, None]}
    outcome = run(sync.scan, engine, hardware, nr_dpus=3, nr_tasklets=nr_tasklets, inputs=inputs)
    rows, barriers = (np.array(part) for part in outcome.counters[0])
    distances = [1, 2, 4, 8]
    assert barriers.tolist() == [2 * len(distances) * repeats for repeats in rounds]
    expected, me = np.zeros_like(rows), np.arange(nr_tasklets)
    for dpu, repeats in enumerate(rounds):
        slots, stated, opened = (expected[dpu, ..., c] for c in (Counter.SLOTS, Counter.STATED, Counter.BARRIERS))
        slots[0] += 4  # steps = 0, load rounds, index = 0, and the address of slots[me] in front of the loops
        phase = 0
        for _ in range(repeats):
            slots[phase] += 2 + 1 + 1  # index and branch, distance = 1, the test in front of the inner loop
            for distance in distances:
                slots[phase] += 1 + 1 + 1  # the test behind an iteration, term = 0, if
                slots[phase] += 3 * (me >= distance)  # me - distance, address, load
                stated[phase] += 3 + me
                slots[phase + 1] += 1 + 2 + 1  # load, both words of the sum, store
                opened[phase : phase + 2] += 1
                phase += 2
                slots[phase] += 1 + 1  # shift distance, add to steps
        slots[phase] += 1 + 1 + 1  # address of steps_taken[me], steps to 64 bits, store
    np.testing.assert_array_equal(rows, expected)


def test_dma_alloc_and_lock_events_are_counted(engine, hardware):
    """`reduction` of zeros, from its source."""
    rows = np.array(run(memory.reduction, engine, hardware, nr_dpus=2).counters[0][0])
    per_element = sum(
        (
            2,  # index and branch: the loop stores at its index
            1 + 1 + 1,  # address, load, add to acc
            1,  # compare and branch of the inlined clamped()
            2,  # its min
            1 + 1,  # shift, store: the element is in a register, and so is its address
        )
    )
    of_one_tasklet = {
        Counter.READS: 1,
        Counter.READ_BYTES: 4 * memory.BLOCK,
        Counter.WRITES: 1,
        Counter.WRITE_BYTES: 4 * memory.BLOCK,
        Counter.ALLOCS: 1,
        Counter.STATED: 5 * memory.BLOCK,
        # offset, two MRAM addresses, load limit, acc = 0, index = 0, -largest once, address and store of the sum
        Counter.SLOTS: 1 + 2 + 1 + 1 + 1 + 1 + 2 + per_element * memory.BLOCK,
    }
    expected = np.zeros_like(rows)
    for counter, amount in of_one_tasklet.items():
        expected[:, 1, :, counter] = amount
    expected[:, :2, :, Counter.BARRIERS] = 1
    expected[:, [0, 2], :, Counter.SLOTS] = 1  # is it tasklet 0?
    expected[:, 0, 0, Counter.SLOTS] += 2  # mem_reset
    # acc = 0, count and pointer; count down, step, load and both words of the sum per tasklet; store total
    expected[:, 2, 0, Counter.SLOTS] += 1 + 2 + (1 + 1 + 1 + 2) * 16 + 1
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
    """With one tasklet and instructions counted; what a block takes is counted where it begins, before its readings."""
    inputs = {"what": np.array([[COUNT_INSTRUCTIONS]])}
    samples = run(output.measure, engine, hardware, nr_dpus=1, nr_tasklets=1, inputs=inputs).of("samples")
    # Since the reset: mem_alloc, the address of a window (shift, add), index = 0.
    first = hardware.sync.alloc_slots + 2 + 1
    # Index and branch, read and shift the counter, 64 bits, address, store, 7 stated slots, the first of two tests.
    until_branch = 2 + 2 + 1 + 1 + 1 + 7 + 1
    slots = [first + until_branch]
    for i in range(output.NR_SAMPLES - 1):
        dma = 2 + 1 if i in (3, 5) else 0  # its address in MRAM (shift, add), and its instruction
        slots.append(slots[-1] + 1 + dma + until_branch)  # and the second test
    assert slots == [30, 46, 62, 78, 97, 113, 132, 148]
    assert samples[0, : output.NR_SAMPLES].tolist() == [n & -16 for n in slots]
