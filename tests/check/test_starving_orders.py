"""Mistakes that need a tasklet that starves, and how a finding is repeated."""

from __future__ import annotations

import re

import numpy as np
import pytest

from pim_runtime import Check, DpuProgram, DpuSet, EngineOptions, Machine
from pim_runtime.check.conditions import other_orders
from pim_runtime.device import assert_that, int64, me, mutex_lock, mutex_unlock, sem_give, sem_take

pytestmark = pytest.mark.quick

NR_SLOTS, NR_ITEMS = 8, 40

ring = DpuProgram("ring", nr_tasklets=3)
is_guarded = ring.host("is_guarded", int64)
produced = ring.host("produced", int64)
consumed = ring.host("consumed", int64)
most = ring.host("most", int64)
lock = ring.mutex("lock")
free = ring.semaphore("free", NR_SLOTS + 1)  # one too many
filled = ring.semaphore("filled", 0)


@ring.kernel
def pass_items(t):
    """Tasklet 0 produces, the others consume; no slot may be filled twice."""
    if me(t) == 0:
        if is_guarded.load(t) == 1:
            yield sem_take(t, free)  # the one that is too many
        for _ in range(NR_ITEMS):
            yield sem_take(t, free)
            yield mutex_lock(t, lock)
            produced.store(t, produced.load(t) + 1)
            assert_that(t, produced.load(t) - consumed.load(t) <= NR_SLOTS)  # overflows
            mutex_unlock(t, lock)
            sem_give(t, filled)
    else:
        for _ in range(NR_ITEMS // 2):
            yield sem_take(t, filled)
            yield mutex_lock(t, lock)
            consumed.store(t, consumed.load(t) + 1)
            mutex_unlock(t, lock)
            sem_give(t, free)


def test_a_queue_that_overflows_only_if_nobody_takes_from_it(checked):
    (finding,) = checked(ring, check=Check(dpus=1))
    assert (finding.kind, finding.tasklets) == ("order", (0,))
    assert "# overflows" in str(finding.places[0])
    assert "tasklet_order='priority'" in finding.text


def test_a_queue_of_the_right_length(checked):
    assert checked(ring, {"is_guarded": 1}, check=Check(dpus=1, orders=12)) == []


def test_every_other_order_is_one_of_priority():
    assert [(order.kind, order.seed) for order in other_orders(7, 3)] == [("random", 7), ("priority", 8), ("random", 9)]


first = DpuProgram("first", nr_tasklets=6)
winner = first.host("winner", int64)
turn = first.mutex("turn")


@first.kernel
def hurry(t):
    """Whoever comes last has won."""
    for _ in range(3):
        yield mutex_lock(t, turn)
        winner.store(t, 10 + me(t))
        mutex_unlock(t, turn)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.filterwarnings("ignore::pim_runtime.CheckWarning")
def test_the_options_that_a_finding_names_repeat_it_on_every_dpu_and_in_every_launch(hardware, seed):
    interpreted = EngineOptions(engine="interpreted", timing="off")
    with DpuSet(
        1, binary=first, machine=Machine(hardware), options=interpreted, check=Check(seed=seed, orders=2)
    ) as dpus:
        dpus.exec()
        (finding,) = dpus.findings
    other, order, named_seed = re.search(
        r"is 15 and (\d+) after .* tasklet_order='(\w+)', seed=(\d+)\)", finding.text
    ).groups()
    options = EngineOptions(engine="interpreted", tasklet_order=order, seed=int(named_seed))
    with DpuSet(3, binary=first, machine=Machine(hardware), options=options) as dpus:
        for _ in range(2):
            dpus.exec()
            np.testing.assert_array_equal(dpus.winner.int64(), [int(other)] * 3)
