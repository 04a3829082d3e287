"""Making, taking apart and freeing sets (upmem-sdk 1.2 and 1.3)."""

from __future__ import annotations

import io

import numpy as np
import pytest

from pim_runtime import ALLOCATE_ALL, DpuProgram, DpuSet, EngineOptions, KernelError, Machine
from pim_runtime.errors import AllocationError, ArgumentError, DpuError, InvalidDpuSetError, TooManyTaskletsError

pytestmark = pytest.mark.quick


@pytest.fixture
def make(machine, interpreted):
    return lambda *args, **options: DpuSet(*args, machine=machine, options=interpreted, **options)


def test_dpus_and_ranks_exclude_each_other(make):
    with pytest.raises(ArgumentError, match=r"^cannot specify nr_dpus and nr_ranks$") as caught:
        make(nr_dpus=1, nr_ranks=1)
    assert caught.value.code is None
    assert isinstance(caught.value, DpuError)


@pytest.mark.parametrize("wrong", ["4", 4.0, [4], b"4"])
def test_numbers_that_are_none(make, machine, wrong):
    with pytest.raises(ArgumentError, match="nr_dpus is an integer, not"):
        make(wrong)
    with pytest.raises(ArgumentError, match="nr_ranks is an integer, not"):
        make(nr_ranks=wrong)
    assert machine.free_ranks == 40


def test_positional_arguments_in_the_sdks_order(make, programs):
    with make(3, None, "backend=simulator", programs[0]) as dpus:
        assert len(dpus) == 3
        assert dpus.number.int32() == [7, 7, 7]
    with make(np.int64(2)) as dpus:
        assert len(dpus) == 2


def test_every_free_rank_is_the_default(make):
    with make(nr_ranks=2), make() as rest:
        assert len(rest) == 38 * 64
    with make(ALLOCATE_ALL) as everything:
        assert len(everything) == 2560


def test_ranks_are_whole(make):
    with make(nr_ranks=3) as dpus:
        assert len(dpus) == 192
        assert [len(rank) for rank in dpus.ranks()] == [64, 64, 64]


def test_parts(make):
    with make(100) as dpus:
        assert len(dpus) == 100
        assert len(list(dpus)) == len(dpus.dpus()) == 100
        assert [len(rank) for rank in dpus.ranks()] == [64, 36]
        second = dpus.ranks()[1]
        assert second.ranks() == [second]
        assert len(second.dpus()) == 36
        dpu = second.dpus()[3]
        assert dpu.dpus() == [dpu]
        assert len(dpu) == 1
        (its_rank,) = dpu.ranks()
        assert len(its_rank) == 36, "the rank of the DPU"
        assert [repr(part) for part in (dpus, second, dpu)] == [
            "<DpuSet set: DPUs 0-99>", "<DpuSet rank: DPUs 64-99>", "<DpuSet dpu: DPUs 67-67>",
        ]  # fmt: skip
        assert dpu.is_single_dpu
        assert not second.is_single_dpu


def test_parts_share_memory_timeline_and_program(allocate):
    dpus = allocate(66)
    dpus.ranks()[1].number = np.array([[1], [2]], np.int32)
    dpus.dpus()[0].number = np.array([5], np.int32).view(np.uint8)
    assert dpus.number.int32() == [5] + [7] * 63 + [1, 2]
    assert dpus.timeline is dpus.dpus()[3].timeline


def test_a_set_of_one_is_no_single_dpu(make):
    with make(1) as dpus:
        assert not dpus.is_single_dpu
        assert dpus.dpus()[0].is_single_dpu


def test_the_context_frees_also_after_an_error(make, machine):
    dpus = make(4)
    assert machine.free_ranks == 39
    with pytest.raises(RuntimeError, match="mine"), dpus:
        raise RuntimeError("mine")
    assert machine.free_ranks == 40
    with pytest.raises(InvalidDpuSetError):
        dpus.free()


def test_a_failing_constructor_gives_its_ranks_back(make, machine, programs):
    with pytest.raises(KernelError, match="has no kernel"):
        make(4, binary=DpuProgram("empty"))
    with pytest.raises(ArgumentError, match=r"a program is a DpuProgram or DpuBinary, not str: './kernel'"):
        make(4, binary="./kernel")
    with pytest.raises(
        ArgumentError, match=r"^log list length does not match number of DPUs in DpuSet: 3 streams for 4 DPUs"
    ):
        make(4, log=[None] * 3)
    with pytest.raises(ArgumentError, match=r"^stream argument is not an object with a 'write' method: 3"):
        make(4, log=3)
    with pytest.raises(ArgumentError, match=r"^stream argument is not an object with a 'write' method: 'file'"):
        make(2, log=[io.StringIO(), "file"])
    assert machine.free_ranks == 40


def test_load_gives_the_binary_and_refuses_to_rebuild_one(make, programs):
    with make(2) as dpus:
        binary = dpus.load(programs[0], nr_tasklets=3)
        assert (binary.name, binary.nr_tasklets) == ("shelf", 3)
        assert dpus.load(binary) is binary
        with pytest.raises(ArgumentError, match="a DpuBinary has its number of tasklets already; load the DpuProgram"):
            dpus.load(binary, nr_tasklets=4)


def test_a_binary_for_more_threads_than_the_chip_has(make, machine, interpreted, programs):
    small = Machine(machine.hardware.with_values({"dpu.max_tasklets": 16}))
    binary = programs[0].build(machine.hardware, nr_tasklets=17)
    with DpuSet(1, machine=small, options=interpreted) as dpus:
        text = (
            "^dpu program uses more tasklets than the hardware has threads: program 'shelf' has 17 tasklets, the DPU 16"
        )
        with pytest.raises(TooManyTaskletsError, match=text):
            dpus.load(binary)
        dpus.load(programs[0], nr_tasklets=16)


def test_load_resets_wram_and_initialised_mram_only(four, programs):
    four.rows = np.arange(16).view(np.uint8)
    four.start = np.zeros(4, np.int32).view(np.uint8)
    four.number = np.array([99], np.int32).view(np.uint8)
    four.load(programs[0])
    assert four.number.int32() == [7] * 4
    assert [list(values) for values in four.start.int32()] == [[1, 2, 3, 4]] * 4
    assert [list(values) for values in four.rows.int64()] == [list(range(16))] * 4


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"engine": "hardware"}, "engine 'hardware': choose 'compiled' or 'interpreted'"),
        ({"tasklet_order": "backwards"}, "tasklet_order 'backwards': choose 'cyclic', 'random' or 'priority'"),
        ({"tasklet_order": "random"}, "tasklet_order 'random' needs engine='interpreted'"),
        ({"threads": 0}, "threads is 0: at least 1"),
    ],
)
def test_engine_options_are_checked(options, says):
    with pytest.raises(ValueError, match=says):
        EngineOptions(**options)


def test_allocation_error_before_anything_is_taken(make, machine):
    with make(nr_ranks=39):
        with pytest.raises(
            AllocationError, match=r"^dpu allocation error: 65 DPUs requested, that is 2 ranks of 64: 1 of 40"
        ):
            make(65)
        assert machine.free_ranks == 1
        with make(64), pytest.raises(AllocationError, match="no free rank of 40: free a set first"):
            make()
