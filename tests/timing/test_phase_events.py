"""The simulation of one phase: examples by hand, and bounds that hold in whatever order things happen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pim_runtime.timing.phase_events import TaskletEvents, phase_end_ticks

pytestmark = pytest.mark.quick


def tasklet(*issue, dmas=()):
    """Slots between DMAs, each of them (occupancy, stall)."""
    return TaskletEvents(issue=issue, occupancy=[dma[0] for dma in dmas], stall=[dma[1] for dma in dmas])


def end(*tasklets, reissue=11, load=0):
    return phase_end_ticks(tasklets, reissue_cycles=reissue, dma_load_ticks=load)


# --- the pipeline ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("nr_tasklets", "ticks"), [(1, 1100), (10, 1100), (11, 1100), (12, 1200), (24, 2400)])
def test_equal_tasklets_share_the_pipeline_from_eleven_on(nr_tasklets, ticks):
    assert end(*[tasklet(100)] * nr_tasklets) == ticks


def test_who_remains_issues_faster():
    # 100 slots at 1/13, then the last tasklet's other 100 at 1/11.
    assert end(*[tasklet(100)] * 12, tasklet(200)) == 100 * 13 + 100 * 11


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=24))
def test_without_dmas_the_end_is_exact(slots):
    ordered = sorted(slots)
    steps = [after - before for before, after in zip([0, *ordered], ordered, strict=False)]
    expected = sum(step * max(11, len(ordered) - ended) for ended, step in enumerate(steps))
    assert end(*[tasklet(of_one) for of_one in slots]) == expected


# --- the engine -----------------------------------------------------------------------------------------------------


def test_one_tasklet_waits_for_each_of_its_dmas():
    assert end(tasklet(10, 20, 5, dmas=[(1, 500), (1, 70)])) == 35 * 11 + 570


def test_a_dma_waits_for_the_engine():
    # The first DMA starts at 110; the second is ready at 220 and starts at 410, when the engine is free.
    assert end(tasklet(10, 0, dmas=[(300, 350)]), tasklet(20, 1, dmas=[(300, 350)])) == 410 + 350 + 11


def test_an_engine_is_busy_after_the_tasklet_goes_on():
    assert end(tasklet(0, 1, 0, dmas=[(300, 50), (10, 20)])) == 300 + 20


def test_equally_early_dmas_start_in_the_order_of_their_tasklets():
    long, short = tasklet(10, 100, dmas=[(500, 500)]), tasklet(10, 0, dmas=[(500, 500)])
    assert end(long, short) == 110 + 500 + 1100
    assert end(short, long) == 110 + 1000 + 1100


# --- the load of DMAs on the pipeline -------------------------------------------------------------------------------


def test_the_load_of_a_dma_takes_its_share_of_the_pipeline():
    others = [tasklet(100)] * 12
    idle = tasklet(0, 0, dmas=[(1, 1)])
    assert end(*others, idle) == 1200  # nobody else issues
    assert end(*others, idle, load=40) == 40 * 13 + 60 * 12


def test_the_load_of_a_dma_delays_nobody_below_eleven():
    few = [tasklet(10, 10, dmas=[(50, 60)])] * 5
    assert end(*few, load=1) == end(*few)


# --- bounds ---------------------------------------------------------------------------------------------------------


@st.composite
def any_tasklet(draw):
    dmas = draw(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300)), max_size=6))
    return tasklet(
        *draw(st.lists(st.integers(0, 100), min_size=len(dmas) + 1, max_size=len(dmas) + 1)),
        dmas=dmas,
    )


PHASES = st.lists(any_tasklet(), min_size=1, max_size=16)


@given(PHASES, st.integers(0, 20))
def test_nobody_is_faster_than_the_pipeline_the_engine_and_itself(tasklets, load):
    ticks = end(*tasklets, load=load)
    occupancies = [ticks for work in tasklets for ticks in work.occupancy]
    assert ticks >= sum(sum(work.issue) for work in tasklets)
    assert ticks >= max(11 * sum(work.issue) + sum(work.stall) for work in tasklets)
    assert ticks >= sum(occupancies) - max(occupancies, default=0)  # the last one outlasts its tasklet


@given(PHASES, st.integers(0, 20))
def test_nobody_waits_without_a_reason(tasklets, load):
    """At any time a tasklet issues at 1/11 or slower because the pipeline is full, or a DMA is under way."""
    nr_dmas = sum(len(work.stall) for work in tasklets)
    slots = sum(sum(work.issue) for work in tasklets) + nr_dmas * load
    dmas = sum(max(pair) for work in tasklets for pair in zip(work.occupancy, work.stall, strict=True))
    rounding = 3 * nr_dmas + len(tasklets)
    assert end(*tasklets, load=load) <= 11 * slots + dmas + rounding


@given(PHASES)
def test_dmas_of_no_time_and_no_load_do_not_matter(tasklets):
    instant = [tasklet(*work.issue, dmas=[(0, 0)] * len(work.stall)) for work in tasklets]
    assert end(*instant) == end(*[tasklet(sum(work.issue)) for work in tasklets])
