"""Symbols as attributes of a set, and the values that reading one gives (upmem-sdk 1.5)."""

from __future__ import annotations

import numpy as np
import pytest

from pim_runtime import DpuProgram, DpuSet
from pim_runtime.device import int32, int64, me
from pim_runtime.errors import ArgumentError, InvalidMemoryTransferError

pytestmark = pytest.mark.quick


def test_reading_gives_numbers_and_arrays_by_the_sdks_rule(four):
    one = four.dpus()[0]
    assert one.number.int32() == 7
    assert type(one.number.int32()) is int
    assert one.pair.int64().tolist() == [10, 20]
    assert four.number.int32() == [7] * 4
    assert [values.tolist() for values in four.pair.int64()] == [[10, 20]] * 4


def test_every_type(four):
    pattern = np.array([0x8180_FFFE_7F00_0180], np.uint64)
    four.rows = np.repeat(pattern, 16).view(np.uint8)
    variable = four.dpus()[0].rows
    for name in ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"):
        np.testing.assert_array_equal(getattr(variable, name)(), np.repeat(pattern, 16).view(name))
    np.testing.assert_array_equal(variable.float(), np.repeat(pattern, 16).view(np.float32))
    np.testing.assert_array_equal(variable.double(), np.repeat(pattern, 16).view(np.float64))
    four.number = np.array([1.5], np.float32).view(np.uint8)
    assert four.dpus()[0].number.float() == 1.5


def test_raw_data(four):
    assert bytes(four.dpus()[0].number.data()) == b"\7\0\0\0"
    assert [bytes(data) for data in four.number.data()] == [b"\7\0\0\0"] * 4


def test_a_size_that_is_no_multiple(four):
    with pytest.raises(TypeError, match="a symbol of 4 bytes is no array of 8-byte elements"):
        four.number.int64()


def test_a_variable_is_a_copy(four):
    before = four.number
    four.exec()
    assert before.int32() == [7] * 4
    assert four.number.int32() == [8] * 4


def test_writing_is_a_copy_to_the_symbol(four):
    four.number = bytearray(b"\1\0\0\0")
    assert four.number.int32() == [1] * 4
    four.number = [np.array([dpu], np.int32) for dpu in range(4)]
    assert four.number.int32() == [0, 1, 2, 3]
    four.pair = np.arange(8).reshape(4, 2)
    assert [values.tolist() for values in four.pair.int64()] == [[0, 1], [2, 3], [4, 5], [6, 7]]
    four.dpus()[2].number = b"\x09\0\0\0"
    assert four.number.int32() == [0, 1, 9, 3]
    with pytest.raises(InvalidMemoryTransferError, match="a int is no host buffer"):
        four.number = 5
    with pytest.raises(ArgumentError, match=r"pass buffer\.view"):
        four.number = np.array([5], np.int32)


def test_unknown_names(four, allocate, programs):
    with pytest.raises(
        AttributeError, match="'nubmer' is neither an attribute of DpuSet nor a symbol of the loaded program"
    ):
        _ = four.nubmer
    assert not hasattr(four, "hidden")
    with pytest.warns(UserWarning, match="'nubmer' is no symbol of the loaded program: no DPU sees this value"):
        four.nubmer = 3
    assert four.nubmer == 3
    with pytest.raises(AttributeError, match="_private"):
        _ = four._private


def test_nothing_is_loaded(machine, interpreted):
    with DpuSet(1, machine=machine, options=interpreted) as dpus:
        assert not hasattr(dpus, "number")


def test_different_programs_have_no_common_attributes(four, programs):
    four.dpus()[1].load(programs[1])
    assert not hasattr(four, "number")
    assert four.dpus()[0].number.int32() == 7
    assert four.dpus()[1].value.int64() == 0
    four.load(programs[1])
    assert four.value.int64() == [0] * 4


def test_symbols_that_methods_hide(machine, interpreted):
    program = DpuProgram("hiding")
    copies = program.host("copy", int64, initial=3)
    program.host("log", int32)

    @program.kernel
    def kernel(t):
        copies.store(t, me(t))

    with DpuSet(2, machine=machine, options=interpreted) as dpus:
        with pytest.warns(UserWarning, match=r"symbols copy, log are hidden by DpuSet's methods; use copy\(\)"):
            dpus.load(program)
        out = np.zeros((2, 1), np.int64)
        dpus.copy(out, "copy")
        assert out.ravel().tolist() == [3, 3]
