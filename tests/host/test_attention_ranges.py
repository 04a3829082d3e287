"""Range checks at plan time (K-1): tight on both sides, and honest about what fits."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpu_kernels.attention import products_of, shapes
from host.attention.operands import operand_type
from host.attention.ranges import (
    AccumulatorOverflow,
    OperandLimits,
    check_ranges,
    largest_operand,
    operand_limits,
    score_dtype,
)

NORMS = ("div_d", "zscore", "zscore_linear", "softmax", "softmax_online")
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


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(("dtype", "q", "kv"), [("int4", 128, 8), ("int8", 128, 128), ("int16", 32768, 32768)])
def test_whole_range_of_small_operands_passes(dtype: str, q: int, kv: int, norm: str) -> None:
    if (dtype, norm) == ("int16", "zscore_linear"):
        kv = 2**13  # sums of scores times values: 4096 * 128 * 2**15 * kv**2
    check(dtype=dtype, norm=norm, q_max=q, k_max=kv, v_max=kv)


def test_int8_scores_are_int32_up_to_131071_dimensions() -> None:
    assert [score_dtype(dtype) for dtype in ("int4", "int8")] == [np.int32] * 2
    assert [score_dtype(dtype) for dtype in ("int16", "int32")] == [np.int64] * 2
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


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("bits", [8, 16, 32])
def test_products_of_32_bits_hold_the_largest_weight_times_the_outermost_values(norm: Any, bits: int) -> None:
    narrow = [
        probability_bits for probability_bits in range(1, 31) if products_of(bits, norm, probability_bits) == "int32"
    ]
    assert narrow == (list(range(1, 25)) if bits == 8 and norm.startswith("softmax") else [])
    int32 = np.iinfo(np.int32)
    for probability_bits in narrow:
        for value in (-(1 << bits - 1), (1 << bits - 1) - 1):
            assert int32.min <= value << probability_bits <= int32.max


def test_products_that_could_overflow_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The largest magnitude of a value is that of its lowest, so nothing is refused that fits."""
    check(probability_bits=25)
    monkeypatch.setattr(shapes, "INT32_PROBABILITY_BITS", 25)
    check(probability_bits=25, v_max=64)
    with pytest.raises(AccumulatorOverflow, match=r"products of int8 softmax .* need 34 bits") as overflow:
        check(probability_bits=25)
    assert (overflow.value.accumulator, overflow.value.largest_operand) == ("products", 64)


def test_outputs_of_div_d_are_scores_times_values() -> None:
    check(dtype="int32", norm="div_d", q_max=2**20, k_max=2**20, v_max=2**10)
    with pytest.raises(AccumulatorOverflow, match="outputs of int32 div_d"):
        check(dtype="int32", norm="div_d", q_max=2**20, k_max=2**20, v_max=2**11)


def test_wrap_is_never_refused() -> None:
    check(dtype="int32", acc="wrap", norm="div_d", q_max=2**31, k_max=2**31, v_max=2**31)
    assert largest_operand(dtype="int32", norm="div_d", acc="wrap", dim=128, max_tokens=4096) == 2**31 - 1


@given(
    norm=st.sampled_from(NORMS),
    dtype=st.sampled_from(["int4", "int8", "int16", "int32"]),
    probability_bits=st.integers(1, 30),
    bias_max=st.integers(0, 2**33) | st.just(0),
    **SHAPES,
)
def test_largest_operand_fits_and_the_next_does_not(
    norm: Any, dtype: str, probability_bits: int, bias_max: int, dim: int, max_tokens: int
) -> None:
    shape: dict[str, Any] = {
        "dtype": dtype,
        "norm": norm,
        "dim": dim,
        "max_tokens": max_tokens,
        "probability_bits": probability_bits,
        "bias_max": bias_max,
    }
    fits = largest_operand(acc="wide", **shape)
    if fits:
        check(**shape, q_max=fits, k_max=fits, v_max=fits)
    if fits < operand_type(dtype).kv_max:
        with pytest.raises(AccumulatorOverflow):
            check(**shape, q_max=fits + 1, k_max=fits + 1, v_max=fits + 1)


@pytest.mark.parametrize(
    ("dtype", "dim", "max_tokens", "expected"),
    [("int8", 128, 4096, 127), ("int16", 128, 4096, 32767), ("int32", 32, 384, 2**28), ("int32", 128, 4096, 2**27 - 1)],
)
def test_largest_operand_of_usual_sizes(dtype: str, dim: int, max_tokens: int, expected: int) -> None:
    assert largest_operand(dtype=dtype, norm="softmax", acc="wide", dim=dim, max_tokens=max_tokens) == expected


def test_a_bias_takes_room_from_the_scores() -> None:
    check(bias_max=2**31 - 1 - 128**3)
    with pytest.raises(AccumulatorOverflow, match=r"scores of int8 .* \|bias\| <= 2145386496"):
        check(bias_max=2**31 - 128**3)
    check(dtype="int16", bias_max=2**61 - 128**3)
    with pytest.raises(AccumulatorOverflow, match="scores of int16"):
        check(dtype="int16", bias_max=2**61 - 128**3 + 1)


@pytest.mark.parametrize("norm", ["zscore", "zscore_linear"])
def test_square_limbs_stop_at_131072_tokens_and_scores_of_55_bits(norm: str) -> None:
    """s = hi * 2**24 + lo with |lo| <= 2**23, which limits the tokens; |hi| limits the scores."""
    check(norm=norm, max_tokens=2**19)  # of scores below 2**23
    size: dict[str, Any] = {"norm": norm, "dim": 512, "v_max": 64}
    check(**size, max_tokens=2**17 - 1)
    with pytest.raises(AccumulatorOverflow, match="squares of scores") as overflow:
        check(**size, max_tokens=2**17)
    assert overflow.value.largest_operand == 127  # whose scores stay below 2**23
    size = {"dtype": "int32", "norm": norm, "dim": 1, "v_max": 1}
    high = math.isqrt((2**63 - 1) // 3)
    check(**size, max_tokens=3, q_max=2**24, k_max=high)
    with pytest.raises(AccumulatorOverflow, match="squares of scores"):
        check(**size, max_tokens=3, q_max=2**24, k_max=high + 1)
    with pytest.raises(AccumulatorOverflow, match="score sums"):
        check(**size, max_tokens=2**10, q_max=2**31, k_max=2**24)


def test_outputs_of_z_scores_are_15_bit_weights_or_scores_times_values() -> None:
    check(dtype="int32", norm="zscore", q_max=2**10, k_max=2**10, v_max=2**31)
    with pytest.raises(AccumulatorOverflow, match="outputs of int32 zscore_linear"):
        check(dtype="int32", norm="zscore_linear", q_max=2**10, k_max=2**10, v_max=2**31)


def test_int4_has_room_for_8_bit_queries_and_4_bit_keys() -> None:
    with pytest.raises(ValueError, match="q_max = 129: a magnitude of int4"):
        check(dtype="int4", q_max=129, k_max=8, v_max=8)
    with pytest.raises(ValueError, match="v_max = 9: a magnitude of int4 lies in 0 to 8"):
        check(dtype="int4", k_max=8, v_max=9)
    size: dict[str, Any] = {"norm": "softmax", "acc": "wide", "dim": 128, "max_tokens": 4096}
    assert largest_operand(dtype="int4", **size) == 7
    assert operand_limits(dtype="int4", **size) == OperandLimits(q=127, kv=7)
    assert operand_limits(dtype="int8", **size) == OperandLimits(q=127, kv=127)
    assert operand_limits(dtype="int32", **size) == OperandLimits(q=2**27 - 1, kv=2**27 - 1)
    assert operand_limits(dtype="int4", **{**size, "norm": "div_d", "acc": "wrap"}) == OperandLimits(q=127, kv=7)
    # 2**25 dimensions of products up to 7 * q leave q 9 of its 127 units
    assert operand_limits(dtype="int4", **{**size, "dim": 2**25}) == OperandLimits(q=9, kv=7)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"q_max": 129}, "q_max"),
        ({"v_max": -1}, "v_max"),
        ({"dim": 0}, "dimensions"),
        ({"max_tokens": 0}, "tokens"),
        ({"norm": "layernorm"}, "div_d, zscore, zscore_linear, softmax, softmax_online"),
        ({"norm": "zscore", "acc": "wrap"}, "zscore has no wrapping form"),
        ({"norm": "softmax_online", "acc": "wrap"}, "no wrapping form"),
        ({"bias_max": -1}, "bias_max"),
        ({"acc": "exact"}, "acc"),
        ({"probability_bits": 31}, "probability_bits"),
    ],
)
def test_impossible_arguments_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check(**change)


@pytest.mark.parametrize("dtype", ["int64", "uint8", "float32"])
def test_other_types_are_refused(dtype: str) -> None:
    with pytest.raises(TypeError, match="int4, int8, int16 or int32"):
        check(dtype=dtype)
