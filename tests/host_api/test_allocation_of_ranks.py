"""The unit of allocation is the rank (upmem-sdk 2.4); ranks come back by `free` and when a set is collected."""

from __future__ import annotations

import gc

import pytest

from pim_runtime import DpuFaultError, DpuProgram, DpuSet, EngineOptions
from pim_runtime.api import dpu_alloc, dpu_alloc_ranks, dpu_free, dpu_get_nr_dpus, dpu_get_nr_ranks
from pim_runtime.device import halt
from pim_runtime.machine import default_machine

pytestmark = pytest.mark.quick


@pytest.mark.parametrize(("nr_dpus", "nr_ranks"), [(1, 1), (64, 1), (65, 2), (100, 2), (128, 2), (129, 3), (2560, 40)])
def test_dpus_take_whole_ranks(machine, interpreted, nr_dpus, nr_ranks):
    dpus = dpu_alloc(nr_dpus, machine=machine, options=interpreted)
    assert machine.free_ranks == 40 - nr_ranks
    assert (dpu_get_nr_dpus(dpus), dpu_get_nr_ranks(dpus)) == (nr_dpus, nr_ranks)
    dpu_free(dpus)
    assert machine.free_ranks == 40


def test_forty_sets_of_one_rank(machine, interpreted):
    sets = [dpu_alloc_ranks(1, machine=machine, options=interpreted) for _ in range(40)]
    assert machine.free_ranks == 0
    for dpus in sets[::2]:
        dpu_free(dpus)
    assert machine.free_ranks == 20
    with dpu_alloc(20 * 64, machine=machine, options=interpreted):
        assert machine.free_ranks == 0
    for dpus in sets[1::2]:
        dpu_free(dpus)
    assert machine.free_ranks == 40


def test_all_ranks(machine, interpreted, programs):
    with dpu_alloc_ranks(40, machine=machine, options=interpreted) as dpus:
        dpus.load(programs[1])
        assert len(dpus) == 2560
        assert dpus.dpus()[-1].value.int64() == 0


@pytest.mark.parametrize("engine", ["interpreted", "compiled"])
def test_dropped_sets_give_their_ranks_back(machine, engine):
    options = EngineOptions(engine=engine)
    for _ in range(50):
        DpuSet(nr_ranks=1, machine=machine, options=options)
    gc.collect()
    assert machine.free_ranks == 40


def test_dropped_sets_that_were_used_and_faulted(machine, interpreted, programs):
    stops = DpuProgram("stops")

    @stops.kernel
    def stop(t):
        halt(t)

    def use(program):
        dpus = DpuSet(2, machine=machine, options=interpreted, binary=program)
        dpus.exec()

    use(programs[1])
    with pytest.raises(DpuFaultError):
        use(stops)
    gc.collect()
    assert machine.free_ranks == 40


def test_a_part_keeps_the_allocation_alive(machine, interpreted, programs):
    dpu = DpuSet(2, machine=machine, options=interpreted, binary=programs[1]).dpus()[1]
    gc.collect()
    assert machine.free_ranks == 39
    dpu.exec()
    assert dpu.value.int64() == 1


def test_memory_of_a_new_set_is_zero(allocate):
    first = allocate(2)
    first.copy("rows", bytes([255]) * 128)
    first.free()
    second = allocate(2)
    assert not any(values.any() for values in second.rows.int64())


def test_machines_are_independent_and_one_is_the_default(machine, interpreted):
    assert default_machine() is default_machine()
    free = default_machine().free_ranks
    with DpuSet(64, machine=machine, options=interpreted):
        assert default_machine().free_ranks == free
    with DpuSet(64, options=interpreted):
        assert default_machine().free_ranks == free - 1
