"""Range checks at plan time (K-1): tight on both sides, and honest about what fits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from host.attention.ranges import AccumulatorOverflow, check_ranges, largest_operand, score_dtype

SHAPES = {"dim": st.integers(1, 512), "max_tokens": st.integers(1, 2**20)}


def check(**change: Any) -> None:
    check_ranges(
        **{
            "dtype": "int8",
            "norm": "softmax",
            "acc": "wide",
            "dim": 128,
            "max_tokens": 4096,
            "q_max": 128,
            "k_max": 128,
            "v_max": 128,
            **change,
        }
    )


@pytest.mark.parametrize("norm", ["div_d", "softmax"])
@pytest.mark.parametrize(("dtype", "magnitude"), [("int8", 128), ("int16", 32768)])
def test_whole_range_of_small_operands_passes(dtype: str, magnitude: int, norm: str) -> None:
    check(dtype=dtype, norm=norm, q_max=magnitude, k_max=magnitude, v_max=magnitude)


def test_int8_scores_are_int32_up_to_131071_dimensions() -> None:
    assert [score_dtype(dtype) for dtype in ("int8", "int16", "int32")] == [np.int32, np.int64, np.int64]
    check(dim=131_071)
    with pytest.raises(AccumulatorOverflow, match="scores of int8") as overflow:
        check(dim=131_072)
    assert (overflow.value.accumulator, overflow.value.need_bits, overflow.value.have_bits) == ("scores", 33, 32)


def test_int32_scores_of_softmax_stop_at_two_to_the_61() -> None:
    check(dtype="int32", q_max=2**27, k_max=2**27, v_max=2**26)
    with pytest.raises(AccumulatorOverflow, match="scores of int32") as overflow:
        check(dtype="int32", q_max=2**27 + 1, k_max=2**27, v_max=2**26)
    assert overflow.value.largest_operand == 2**27 - 1
    assert str(2**27 - 1) in str(overflow.value)


def test_outputs_of_softmax_stop_below_two_to_the_63() -> None:
    check(dtype="int32", q_max=1, k_max=1, v_max=2**27 - 1)
    with pytest.raises(AccumulatorOverflow, match="outputs of int32") as overflow:
        check(dtype="int32", q_max=1, k_max=1, v_max=2**27)
    assert (overflow.value.accumulator, overflow.value.need_bits, overflow.value.have_bits) == ("outputs", 65, 64)
    check(dtype="int32", q_max=1, k_max=1, v_max=2**27, probability_bits=23)


def test_outputs_of_div_d_are_scores_times_values() -> None:
    check(dtype="int32", norm="div_d", q_max=2**20, k_max=2**20, v_max=2**10)
    with pytest.raises(AccumulatorOverflow, match="outputs of int32 div_d"):
        check(dtype="int32", norm="div_d", q_max=2**20, k_max=2**20, v_max=2**11)


def test_wrap_is_never_refused() -> None:
    check(dtype="int32", acc="wrap", norm="div_d", q_max=2**31, k_max=2**31, v_max=2**31)
    assert largest_operand(dtype="int32", norm="div_d", acc="wrap", dim=128, max_tokens=4096) == 2**31 - 1


@given(
    norm=st.sampled_from(["div_d", "softmax"]),
    dtype=st.sampled_from(["int8", "int16", "int32"]),
    probability_bits=st.integers(1, 30),
    **SHAPES,
)
def test_largest_operand_fits_and_the_next_does_not(
    norm: Any, dtype: str, probability_bits: int, dim: int, max_tokens: int
) -> None:
    shape: dict[str, Any] = {
        "dtype": dtype,
        "norm": norm,
        "dim": dim,
        "max_tokens": max_tokens,
        "probability_bits": probability_bits,
    }
    fits = largest_operand(acc="wide", **shape)
    check(**shape, q_max=fits, k_max=fits, v_max=fits)
    if fits < np.iinfo(dtype).max:
        with pytest.raises(AccumulatorOverflow):
            check(**shape, q_max=fits + 1, k_max=fits + 1, v_max=fits + 1)


@pytest.mark.parametrize(
    ("dtype", "dim", "max_tokens", "expected"),
    [("int8", 128, 4096, 127), ("int16", 128, 4096, 32767), ("int32", 32, 384, 2**28), ("int32", 128, 4096, 2**27 - 1)],
)
def test_largest_operand_of_usual_sizes(dtype: str, dim: int, max_tokens: int, expected: int) -> None:
    assert largest_operand(dtype=dtype, norm="softmax", acc="wide", dim=dim, max_tokens=max_tokens) == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"q_max": 129}, "q_max"),
        ({"v_max": -1}, "v_max"),
        ({"dim": 0}, "dimensions"),
        ({"max_tokens": 0}, "tokens"),
        ({"norm": "zscore"}, "norm"),
        ({"acc": "exact"}, "acc"),
        ({"probability_bits": 31}, "probability_bits"),
    ],
)
def test_impossible_arguments_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check(**change)


@pytest.mark.parametrize("dtype", ["int64", "uint8", "float32"])
def test_other_types_are_refused(dtype: str) -> None:
    with pytest.raises(TypeError, match="int8, int16 or int32"):
        check(dtype=dtype)
