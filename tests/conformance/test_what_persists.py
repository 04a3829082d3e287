"""What a launch and a load leave alone, and what they reset; programs side by side in one set."""

from __future__ import annotations

import numpy as np
import pytest
from kernels_for_tests.control import scaling
from kernels_for_tests.memory import remember

from pim_runtime.device import int16, uint32
from pim_runtime.errors import DifferentDpuProgramsError


@pytest.fixture
def remembering(dpus, engine):
    """Three DPUs with `remember` loaded, whose uninitialised MRAM variable is 100."""
    dpu_set = dpus(3, engine)
    dpu_set.load(remember)
    dpu_set.copy("kept", np.full((3, 1), 100))
    return dpu_set


def test_all_variables_persist_between_launches(remembering):
    for launch in (1, 2, 3):
        remembering.exec()
        assert remembering.boots_seen.int64() == [10 + launch] * 3
        assert remembering.boots_seen_by_host.int64() == [20 + launch] * 3
        assert remembering.loaded.int64() == [30 + launch] * 3
        assert remembering.kept.int64() == [100 + launch] * 3


def test_a_load_resets_all_but_uninitialised_mram(remembering):
    remembering.exec()
    remembering.exec()
    remembering.load(remember)
    assert remembering.kept.int64() == [102] * 3
    assert remembering.loaded.int64() == [30] * 3
    assert remembering.boots_seen_by_host.int64() == [20] * 3
    remembering.exec()
    assert remembering.boots_seen.int64() == [11] * 3
    assert remembering.kept.int64() == [103] * 3


def test_the_heap_grows_until_it_is_reset(remembering):
    def address_after_launch():
        remembering.exec()
        return remembering.heap_address.int64()[0]

    first = address_after_launch()
    assert [address_after_launch() for _ in range(3)] == [first + 24, first + 48, first + 72]
    remembering.copy("reset_heap", np.ones((3, 1), np.int32))
    assert [address_after_launch() for _ in range(2)] == [first, first]
    remembering.copy("reset_heap", np.zeros((3, 1), np.int32))
    assert address_after_launch() == first + 24
    remembering.load(remember)
    assert address_after_launch() == first


def test_a_launch_of_one_dpu_runs_that_dpu_only(remembering):
    (result,) = remembering.dpus()[1].exec()
    assert result.counters.nr_dpus == 1
    assert remembering.kept.int64() == [100, 101, 100]


def test_a_launch_of_one_rank_runs_that_rank_only(dpus, engine):
    dpu_set = dpus(130, engine)
    dpu_set.load(remember)
    dpu_set.ranks()[1].exec()
    assert dpu_set.boots_seen_by_host.int64() == [20] * 64 + [21] * 64 + [20] * 2


def test_different_programs_side_by_side(dpus, engine):
    dpu_set = dpus(4, engine)
    tripling, negating = scaling(int16, 3), scaling(uint32, -5)
    programs = [tripling, tripling, negating, tripling]
    for dpu, program in zip(dpu_set, programs, strict=True):
        dpu.load(program)
        dpu.copy("vector", np.arange(64, dtype=np.int16 if program is tripling else np.uint32)[None])
    results = dpu_set.exec()
    assert [result.counters.nr_dpus for result in results] == [2, 1, 1]
    for dpu, program in zip(dpu_set, programs, strict=True):
        expected = 3 * np.arange(64) if program is tripling else (-5 * np.arange(64)).astype(np.uint32)
        values = dpu.vector.int16() if program is tripling else dpu.vector.uint32()
        np.testing.assert_array_equal(values, expected)
    with pytest.raises(DifferentDpuProgramsError):
        dpu_set.copy(np.zeros((4, 64), np.int16), "vector")


def test_read_only_host_data_is_as_good_as_any(dpus, engine):
    rows = np.frombuffer(bytes(range(128)) * 2, np.int16).reshape(2, 64)
    assert not rows.flags.writeable
    dpu_set = dpus(2, engine)
    dpu_set.load(scaling(int16, 3))
    dpu_set.copy("vector", rows)
    dpu_set.exec()
    np.testing.assert_array_equal(np.stack(dpu_set.vector.int16()), 3 * rows)
