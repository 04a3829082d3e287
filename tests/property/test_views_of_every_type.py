"""What is stored through a view is what a load gives back, in the type of the view; outside of it lies a fault."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels_for_tests.arithmetic import TYPES
from kernels_for_tests.memory import LOAD, NR_ELEMENTS, STORE, STORE_AND_LOAD, through_views

from pim_runtime import DpuFaultError, DpuSet, Machine
from pim_runtime.device.faults import FaultCode

NUMBERS = st.lists(st.integers(-(1 << 63), (1 << 63) - 1), min_size=NR_ELEMENTS, max_size=NR_ELEMENTS)


@pytest.fixture(scope="module")
def viewers(engine, hardware):
    """One DPU per type."""
    with DpuSet(len(TYPES), machine=Machine(hardware), options=engine, binary=through_views) as dpus:
        dpus.copy("view_kind", np.arange(len(TYPES), dtype=np.int32)[:, None])
        yield dpus


def access_all(viewers, numbers, *, access, first_index=0):
    """Launch; gives the bytes under the views and what was read back."""
    nr_dpus = len(TYPES)
    viewers.copy("access", np.full((nr_dpus, 1), access, np.int32))
    viewers.copy("first_index", np.full((nr_dpus, 1), first_index, np.int32))
    viewers.copy("source", np.tile(np.array(numbers, np.int64), (nr_dpus, 1)))
    viewers.copy("storage", np.full((nr_dpus, NR_ELEMENTS), 0x55))
    viewers.copy("read_back", np.zeros((nr_dpus, NR_ELEMENTS), np.int64))
    try:
        viewers.exec()
    finally:
        storage, read_back = np.zeros((2, nr_dpus, NR_ELEMENTS), np.int64)
        viewers.copy(storage, "storage")
        viewers.copy(read_back, "read_back")
    return storage, read_back


@settings(max_examples=25, deadline=None)
@given(numbers=NUMBERS)
def test_a_store_truncates_and_a_load_extends(viewers, numbers):
    storage, read_back = access_all(viewers, numbers, access=STORE_AND_LOAD)
    for dpu, kind in enumerate(TYPES):
        stored = np.array(numbers, np.int64).astype(kind.dtype)
        expected = np.full(NR_ELEMENTS, 0x55)
        expected.view(np.uint8)[: stored.nbytes] = stored.view(np.uint8)
        np.testing.assert_array_equal(storage[dpu], expected, err_msg=str(kind))
        np.testing.assert_array_equal(read_back[dpu], stored.astype(np.int64), err_msg=str(kind))


@pytest.mark.parametrize("access", [STORE, LOAD])
@pytest.mark.parametrize(("first_index", "wrong"), [(-1, -1), (-NR_ELEMENTS, -NR_ELEMENTS), (1, NR_ELEMENTS)])
def test_an_index_outside_faults_in_every_type(viewers, access, first_index, wrong):
    with pytest.raises(DpuFaultError) as error:
        access_all(viewers, range(NR_ELEMENTS), access=access, first_index=first_index)
    faults = error.value.faults
    assert [fault.dpu for fault in faults] == list(range(len(TYPES)))
    assert {(fault.code, fault.values[:2]) for fault in faults} == {(FaultCode.WRAM_INDEX, (wrong, NR_ELEMENTS))}
