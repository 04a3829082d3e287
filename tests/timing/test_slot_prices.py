"""Issue slots of every class of counted events, by hand from the listings and routines that the profile names."""

from __future__ import annotations

import pytest
from counter_rows import counters_of

from pim_runtime.counters import Counter
from pim_runtime.hardware import load_profile
from pim_runtime.timing import dpu_kernel_cycles
from pim_runtime.timing.prices import slot_prices

pytestmark = pytest.mark.quick

HARDWARE = load_profile("upmem-v1a")


@pytest.mark.parametrize(
    ("events", "slots"),
    [
        ({Counter.SLOTS: 1}, 1),
        ({Counter.STATED: 1}, 1),
        ({Counter.MUL16: 1}, 1),  # both operands in 0 to 255: the sequence leaves at once
        ({Counter.MUL16: 1, Counter.MUL16_LONG: 1}, 7),
        ({Counter.MUL32: 1}, 8),  # multiplier 1, one step
        ({Counter.MUL32: 1, Counter.MUL32_STEPS: 1}, 9),  # multiplier 2: 99.32 cycles on hardware
        ({Counter.MUL32: 1, Counter.MUL32_STEPS: 31}, 39),  # two negative operands
        ({Counter.MUL64: 1}, 129),
        ({Counter.UDIV32: 1}, 9),  # one quotient bit: 99.2 cycles on hardware
        ({Counter.UDIV32: 1, Counter.DIV32_VARIABLE: 31}, 40),  # 2^31 / 1
        ({Counter.UDIV32: 1, Counter.DIV32_VARIABLE: -3}, 6),  # the divisor has more significant bits
        ({Counter.SDIV32: 1}, 16),
        ({Counter.SDIV32: 1, Counter.DIV32_VARIABLE: 2}, 18),  # 9 instead of 7 beyond the unsigned: divisor < 0
        ({Counter.DIV64: 1}, 47),
        ({Counter.DIV64: 1, Counter.DIV64_STEPS: 2}, 91),  # 22 for each further quotient bit
        ({Counter.LOCKS: 1}, 1),
        ({Counter.SYNCS: 1}, 14),
        ({Counter.ALLOCS: 1}, 12),
    ],
)
def test_slots_of_each_event(events, slots):
    thrice = {counter: 3 * count for counter, count in events.items()}
    assert dpu_kernel_cycles(counters_of([[thrice]]), HARDWARE).tolist() == [3 * 11 * slots]


def test_a_dma_issues_one_instruction_and_its_bytes_and_barriers_none():
    prices = slot_prices(HARDWARE)
    assert [prices[c] for c in (Counter.READS, Counter.WRITES)] == [1, 1]
    assert [prices[c] for c in (Counter.READ_BYTES, Counter.WRITE_BYTES, Counter.BARRIERS)] == [0, 0, 0]


def test_every_kind_of_event_but_bytes_and_barriers_takes_slots():
    free = {Counter(column) for column, price in enumerate(slot_prices(HARDWARE)) if price == 0}
    assert free == {Counter.READ_BYTES, Counter.WRITE_BYTES, Counter.BARRIERS}


@pytest.mark.parametrize(
    ("key", "counter", "slots"),
    [
        ("instructions.mul16_slots", Counter.MUL16, 5),
        ("instructions.mul16_long_slots", Counter.MUL16_LONG, 5),
        ("instructions.mul32_slots", Counter.MUL32, 5),
        ("instructions.mul32_step_slots", Counter.MUL32_STEPS, 5),
        ("instructions.mul64_slots", Counter.MUL64, 5),
        ("instructions.udiv32_slots", Counter.UDIV32, 5),
        ("instructions.udiv32_slots", Counter.SDIV32, 5 + 7),
        ("instructions.sdiv32_extra_slots", Counter.SDIV32, 9 + 5),
        ("instructions.div64_slots", Counter.DIV64, 5),
        ("instructions.div64_step_slots", Counter.DIV64_STEPS, 5),
        ("dma.issue_slots", Counter.READS, 5),
        ("dma.issue_slots", Counter.WRITES, 5),
        ("sync.lock_slots", Counter.LOCKS, 5),
        ("sync.sync_slots", Counter.SYNCS, 5),
        ("sync.alloc_slots", Counter.ALLOCS, 5),
    ],
)
def test_prices_are_those_of_the_profile(key, counter, slots):
    assert slot_prices(HARDWARE.with_values({key: 5}))[counter] == slots
