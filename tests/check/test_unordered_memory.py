"""MRAM that another tasklet order would have left otherwise: scratch is no finding, what the host reads is one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pim_runtime import Check, CheckWarning, DpuProgram, DpuSet, EngineOptions, Machine
from pim_runtime.check.alternative import Alternative
from pim_runtime.check.dpu_shadow import DpuShadow
from pim_runtime.check.shadow import HOST, PAGE_BYTES, THIS, UNDEFINED
from pim_runtime.device import (
    barrier_wait,
    int64,
    me,
    mem_alloc,
    mem_reset,
    mram_read,
    mram_write,
    mutex_lock,
    mutex_unlock,
)

pytestmark = pytest.mark.quick

INTERPRETED = EngineOptions(engine="interpreted", timing="off")
NR_TASKLETS = 4
FILL, SUM, COPY, COUNT_IN_HOST = range(4)

slots = DpuProgram("slots", nr_tasklets=NR_TASKLETS)
step = slots.host("step", int64)
total = slots.host("total", int64)
last = slots.host("last", int64)
taken = slots.wram("taken", int64)
bucket = slots.mram_noinit("bucket", int64, NR_TASKLETS)
copied = slots.mram_noinit("copied", int64, NR_TASKLETS)
turn = slots.mutex("turn")
everyone = slots.barrier("everyone")


@slots.kernel
def take_slots(t):
    """FILL: every tasklet takes the next slot of `bucket`. SUM, COPY: of what an earlier launch put there."""
    if me(t) == 0:
        mem_reset(t)
        taken.store(t, 0)
        total.store(t, 0)
    yield barrier_wait(t, everyone)
    block, do = mem_alloc(t, int64, 1), step.load(t)
    yield mutex_lock(t, turn)
    if do == FILL:
        slot = taken.load(t)
        taken.store(t, slot + 1)
        block[0] = 100 + me(t)
        mram_write(t, block, bucket.address + 8 * slot, 8)  # into the slot
    elif do == COUNT_IN_HOST:
        last.store(t, me(t))  # the last
    else:
        mram_read(t, bucket.address + 8 * me(t), block, 8)
        total.store(t, total.load(t) + block[0])
        if do == COPY:
            mram_write(t, block, copied.address + 8 * me(t), 8)  # the copy
    mutex_unlock(t, turn)


@pytest.fixture
def session(hardware):
    """`session(steps, ...)`: launches by number, ("read", name), ("write", name) of a whole symbol."""

    def run(*steps, nr_dpus=1, **options):
        check = Check(dpus=1, orders=3, keeps=("bucket",), **options)
        with DpuSet(nr_dpus, binary=slots, machine=Machine(hardware), options=INTERPRETED, check=check) as dpus:
            for one in steps:
                if isinstance(one, int):
                    dpus.copy("step", np.full((nr_dpus, 1), one))
                    dpus.exec()
                elif one[0] == "read":
                    dpus.copy(np.zeros((nr_dpus, NR_TASKLETS), np.int64), one[1])
                else:
                    dpus.copy(one[1], np.ones((nr_dpus, NR_TASKLETS), np.int64))
            return list(dpus.findings)

    return run


READ, READ_COPY, WRITE = ("read", "bucket"), ("read", "copied"), ("write", "bucket")


@pytest.mark.filterwarnings("ignore::pim_runtime.CheckWarning")
def test_what_the_host_reads_is_reported_at_both_lines(session):
    (finding,) = session(FILL, READ)
    assert (finding.kind, finding.symbol, finding.program, finding.dpus) == ("order", "bucket", "slots", (0,))
    assert "# into the slot" in "".join(map(str, finding.places))
    assert "dpus.copy(np.zeros(" in "".join(map(str, finding.places))
    assert "the host reads at " in finding.text
    assert "after the cyclic order of tasklets and after the " in finding.text
    assert "tasklet_order=" in finding.text
    assert "Check(unordered=('bucket',))" in finding.text


@pytest.mark.parametrize(
    "steps",
    [
        (FILL,),
        (FILL, SUM),
        (FILL, COPY),
        (FILL, WRITE, READ),
        (FILL, WRITE, COPY, READ_COPY),
    ],
)
def test_scratch_may_lie_in_any_order(session, steps):
    assert session(*steps) == []


@pytest.mark.filterwarnings("ignore::pim_runtime.CheckWarning")
def test_a_later_launch_may_bring_it_to_where_the_host_reads(session):
    (finding,) = session(FILL, SUM, COPY, READ_COPY)
    assert (finding.kind, finding.symbol) == ("order", "copied")
    assert "# the copy" in "".join(map(str, finding.places))


def test_what_is_unordered_on_purpose(session):
    assert session(FILL, READ, unordered=("bucket",)) == []
    assert session(COUNT_IN_HOST, unordered=("last",)) == []
    with pytest.warns(CheckWarning, match="Check\\(unordered=\\('last',\\)\\)"):
        assert [finding.symbol for finding in session(COUNT_IN_HOST)] == ["last"]


def test_the_host_goes_on_from_what_it_has_read(session):
    """Otherwise the values that it derives from them would not fit the other order."""
    assert session(FILL, READ, COPY, READ_COPY, unordered=("bucket",)) == []


def test_unordered_is_a_tuple_of_names():
    with pytest.raises(ValueError, match="unordered is the text 'bucket'"):
        Check(unordered="bucket")


WORDS = st.lists(st.integers(0, 3 * PAGE_BYTES // 8 - 1), max_size=12, unique=True).map(sorted)
PARTS = st.lists(st.tuples(st.integers(0, 3 * PAGE_BYTES - 1), st.integers(1, 40)), max_size=4)


@given(words=WORDS, forgotten=PARTS, part=PARTS, random=st.randoms(use_true_random=False))
def test_an_alternative_is_put_where_it_differs_and_not_forgotten(words, forgotten, part, random):
    draw = np.random.default_rng(random.randrange(1 << 30))
    values = draw.integers(0, 256, (2, len(words), 8), np.uint8)
    defined = draw.integers(0, 2, (2, len(words), 8)).astype(bool)
    alternative = Alternative(
        words=np.array(words, np.int64), values=values, defined=defined, writers={}, races=frozenset()
    )
    left = set(words)
    for address, nr_bytes in forgotten:
        alternative.forget(address, nr_bytes)
        left -= set(range(address >> 3, (address + nr_bytes + 7) >> 3))
    for address, nr_bytes in part:
        touched = range(address >> 3, (address + nr_bytes + 7) >> 3)
        assert [words[index] for index in alternative.differing(address, nr_bytes)] == sorted(left & set(touched))
    assert alternative.pages() == {8 * word // PAGE_BYTES for word in left}

    shadow, memory = DpuShadow(), np.zeros(3 * PAGE_BYTES, np.uint8)
    shadow.mram.fill(0, PAGE_BYTES, THIS)
    expected, states = memory.copy(), bytearray(shadow.mram.states(0, len(memory)))
    for index, word in enumerate(words):
        if word in left:
            for byte in range(8):
                expected[8 * word + byte] = values[1, index, byte]
                known = states[8 * word + byte] or HOST
                states[8 * word + byte] = known if defined[1, index, byte] else UNDEFINED
    alternative.apply(memory, shadow)
    np.testing.assert_array_equal(memory, expected)
    assert shadow.mram.states(0, len(memory)) == bytes(states)


deciding = DpuProgram("deciding")
verdict = deciding.mram_noinit("verdict", int64, 1)


@deciding.kernel
def decide(t):
    """Write one thing or another to MRAM, depending on a word that nobody wrote."""
    block = mem_alloc(t, int64, 1)
    block[0] = 1 if block[0] > 0 else 2  # decides
    mram_write(t, block, verdict.address, 8)
    mem_reset(t)


def test_what_depends_on_undefined_memory_is_told_when_the_host_reads_it(kinds):
    used = ("uninitialised", "WRAM heap")
    assert kinds(deciding) == [used]
    assert kinds(deciding, reads=("verdict",)) == [used, ("uninitialised", "verdict")]
