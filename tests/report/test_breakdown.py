"""Sums over a timeline: reasons, classes of instructions, and what the slots rest on."""

from __future__ import annotations

import numpy as np
import pytest
from timelines import HARDWARE, add_launch, attention_step, counters_of

from pim_runtime.counters import Counter
from pim_runtime.report.breakdown import evidence, instruction_mix, reason_times, total_counts
from pim_runtime.timeline import Timeline

pytestmark = pytest.mark.quick


def launch_of(*counters):
    timeline = Timeline(HARDWARE)
    add_launch(timeline, "kernel", *counters)
    return timeline.rows


def test_reasons_add_up_to_all_time():
    timeline = attention_step()
    times = reason_times(timeline.rows)
    assert list(times) == ["launch", "compute", "dma", "barrier", "transfer_setup", "transfer"]
    assert sum(times.values()) == timeline.duration_ps()
    assert times["compute"] == timeline.rows[2].cost_ps("compute") > 0
    assert reason_times([]) == dict.fromkeys(times, 0)


def test_classes_of_instructions():
    phases = (
        {Counter.SLOTS: 10, Counter.STATED: 3, Counter.MUL16: 2, Counter.MUL16_LONG: 1, Counter.READS: 1},
        {Counter.MUL32: 1, Counter.MUL32_STEPS: 4, Counter.UDIV32: 1, Counter.SDIV32: 1, Counter.DIV32_VARIABLE: -2},
    )
    mix = instruction_mix(launch_of(counters_of(5, 2, phases=phases)), HARDWARE)
    assert {one.name: (one.operations, one.slots) for one in mix} == {
        "32-bit division": (20, 10 * (9 + 16 - 2)),
        "32-bit multiply": (10, 10 * (8 + 4)),
        "one slot: ALU, branch, load, store, 8-bit multiply": (100, 100),
        "16-bit multiply": (20, 10 * (2 + 6)),
        "stated by the author": (30, 30),
        "DMA from MRAM": (10, 10),
    }
    assert [one.slots for one in mix] == sorted((one.slots for one in mix), reverse=True)


def test_every_priced_counter_is_in_one_class():
    phases = (dict.fromkeys(Counter, 1),)
    rows = launch_of(counters_of(3, 2, phases=phases))
    slots = evidence(rows, HARDWARE).slots
    assert sum(one.slots for one in instruction_mix(rows, HARDWARE)) == slots
    assert total_counts(rows, HARDWARE).tolist() == [6] * len(Counter)


def test_what_slots_rest_on():
    phases = ({Counter.SLOTS: 50, Counter.STATED: 30, Counter.MUL32: 2, Counter.MUL32_STEPS: 6},)
    counters = counters_of(4, 1, phases=phases, measured=np.array([True, True, False, False]))
    found = evidence(launch_of(counters), HARDWARE)
    # Two DPUs were counted: 3 steps a multiply. The other two count 6 steps in the fixture, which inference replaces.
    assert found.slots == 4 * (50 + 30 + 2 * 8 + 6)
    assert (found.stated, found.inferred) == (4 * 30, 2 * 6)
    assert found.counted == found.slots - found.stated - found.inferred


def test_programs_side_by_side_and_repeated_launches_add_up():
    one, two = counters_of(3, 2), counters_of(2, 5)
    separate = [total_counts(launch_of(counters), HARDWARE) for counters in (one, two, two)]
    rows = [*launch_of(one, two), *launch_of(two)]
    np.testing.assert_array_equal(total_counts(rows, HARDWARE), sum(separate))
    assert evidence([], HARDWARE).slots == 0
    assert instruction_mix([], HARDWARE) == ()
