"""Keys cut into most and least significant bits: lossless for every int8, every number of bits, both modes."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from host.attention.operands import unpack_rows
from host.sprint.nibbles import SplitMode, split_msb_lsb, unpack_nibbles

pytestmark = pytest.mark.quick

EVERY_INT8 = np.arange(-128, 128, dtype=np.int8)


@pytest.mark.parametrize("mode", get_args(SplitMode))
@pytest.mark.parametrize("msb_bits", range(1, 8))
def test_every_int8_is_recombined(msb_bits: int, mode: SplitMode) -> None:
    parts = split_msb_lsb(EVERY_INT8, msb_bits, mode)
    assert np.array_equal(parts.recombined(), EVERY_INT8)
    assert parts.step == 2 ** (8 - msb_bits)
    assert (parts.msb.min(), parts.msb.max()) == (-(2 ** (msb_bits - 1)), 2 ** (msb_bits - 1) - 1)
    assert parts.lsb.min() == (0 if mode == "trunc" else -parts.step // 2)
    assert parts.lsb.max() == parts.step - 1  # of what saturates, in mode round


def test_truncated_parts_are_the_stored_bits() -> None:
    parts = split_msb_lsb(EVERY_INT8)
    stored = EVERY_INT8.view(np.uint8)
    assert np.array_equal(parts.msb & 15, stored >> 4)
    assert np.array_equal(parts.lsb, stored & 15)


def test_rounding_is_to_the_nearest_multiple_except_where_it_saturates() -> None:
    parts = split_msb_lsb(EVERY_INT8, mode="round")
    saturated = EVERY_INT8 >= 120
    assert (parts.lsb[~saturated] < 8).all()
    assert (parts.msb[saturated] == 7).all()
    assert parts.lsb[-1] == 15


@given(keys=hnp.arrays(np.int8, hnp.array_shapes(min_dims=1, max_dims=3, max_side=9)))
def test_packed_parts_of_odd_and_even_rows_come_back(keys: NDArray[np.int8]) -> None:
    dim = keys.shape[-1]
    packed = split_msb_lsb(keys).packed()
    assert packed.msb.shape == packed.lsb.shape == (*keys.shape[:-1], (dim + 1) // 2)
    assert np.array_equal(unpack_rows(packed.msb, dim), keys >> 4)
    assert np.array_equal(unpack_nibbles(packed, dim).recombined(), keys)


def test_packed_nibbles_are_low_first() -> None:
    packed = split_msb_lsb(np.array([0x21, 0x43, -1], dtype=np.int8)).packed()
    assert packed.msb.tolist() == [0x42, 0x0F]
    assert packed.lsb.tolist() == [0x31, 0x0F]


@pytest.mark.parametrize("msb_bits", [0, 8, -1])
def test_bits_that_leave_a_part_empty_are_refused(msb_bits: int) -> None:
    with pytest.raises(ValueError, match=f"msb_bits = {msb_bits}: choose 1 to 7"):
        split_msb_lsb(EVERY_INT8, msb_bits)


def test_other_operands_are_refused() -> None:
    with pytest.raises(TypeError, match=r"keys are int32: .*Quantise"):
        split_msb_lsb(np.arange(4, dtype=np.int32))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="keys are list"):
        split_msb_lsb([1, 2])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="there is none of dim"):
        split_msb_lsb(np.zeros((3, 0), np.int8))
    with pytest.raises(ValueError, match="mode = 'up': choose one of trunc, round"):
        split_msb_lsb(EVERY_INT8, mode="up")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"msb_bits = 4.0: give an integer"):
        split_msb_lsb(EVERY_INT8, 4.0)  # type: ignore[arg-type]


@given(st.sampled_from([(3, "trunc"), (4, "round")]))
def test_only_stored_nibbles_are_packed(cut: tuple[int, SplitMode]) -> None:
    with pytest.raises(ValueError, match="bytes hold nibbles"):
        split_msb_lsb(EVERY_INT8, *cut).packed()
