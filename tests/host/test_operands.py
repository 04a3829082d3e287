"""Operand types and rows of packed nibbles (K-12)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from host.attention.operands import operand_dtype, operand_type, pack_rows, unpack_rows

pytestmark = pytest.mark.quick

ROWS = hnp.arrays(
    np.int8, hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=9), elements=st.integers(-8, 7)
)


@pytest.mark.parametrize(
    ("dtype", "bits", "q", "kv"),
    [
        ("int4", 4, (-128, 127), (-8, 7)),
        ("int8", 8, (-128, 127), (-128, 127)),
        (np.int16, 16, (-(2**15), 2**15 - 1), (-(2**15), 2**15 - 1)),
        (np.dtype(np.int32), 32, (-(2**31), 2**31 - 1), (-(2**31), 2**31 - 1)),
    ],
)
def test_types_know_their_ranges(dtype: Any, bits: int, q: tuple[int, int], kv: tuple[int, int]) -> None:
    operand = operand_type(dtype)
    assert operand.bits == bits
    assert operand.name == f"int{bits}"
    assert operand.dtype == operand_dtype(dtype) == np.dtype(f"int{max(8, bits)}")
    assert ((operand.q_min, operand.q_max), (operand.kv_min, operand.kv_max)) == (q, kv)


@pytest.mark.parametrize("dtype", ["int64", "uint8", np.float32, "int2"])
def test_other_types_are_refused(dtype: Any) -> None:
    with pytest.raises(TypeError):
        operand_type(dtype)


def test_low_nibble_comes_first() -> None:
    assert pack_rows(np.array([1, -2, 7, -8, 3], np.int8)).tolist() == [0xE1, 0x87, 0x03]


@given(ROWS)
def test_rows_come_back(rows: NDArray[np.int8]) -> None:
    packed = pack_rows(rows)
    assert packed.dtype == np.uint8
    assert packed.shape == (*rows.shape[:-1], (rows.shape[-1] + 1) // 2)
    back = unpack_rows(packed, rows.shape[-1])
    assert back.dtype == np.int8
    assert back.tolist() == rows.tolist()


def test_rows_that_are_not_contiguous_are_packed_too() -> None:
    rows = np.arange(-8, 8, dtype=np.int8).reshape(4, 4).T
    assert pack_rows(rows).tolist() == pack_rows(rows.copy()).tolist()


@pytest.mark.parametrize("value", [8, -9, 127, -128])
def test_values_that_do_not_fit_are_refused(value: int) -> None:
    with pytest.raises(ValueError, match="-8 to 7"):
        pack_rows(np.array([0, value], np.int8))


def test_other_arrays_are_refused() -> None:
    with pytest.raises(TypeError, match="int8 arrays"):
        pack_rows(np.zeros(4, np.int16))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="one value"):
        pack_rows(np.array(3, np.int8))
    with pytest.raises(TypeError, match="uint8"):
        unpack_rows(np.zeros(2, np.int8), 4)  # type: ignore[arg-type]
    for dim in (2, 5, -1):
        with pytest.raises(ValueError, match="ceil"):
            unpack_rows(np.zeros(2, np.uint8), dim)
