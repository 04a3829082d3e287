"""Static range checks of the integer attention kernels.

Owns the accumulator widths and the proof that operands of a given size cannot overflow them; everything is exact Python
integer arithmetic at plan time, so a kernel never checks at run time. Knows no data and no device.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike

__all__ = [
    "PROBABILITY_BITS_MAX",
    "SOFTMAX_SCORE_MAX",
    "Accumulation",
    "AccumulatorOverflow",
    "Norm",
    "check_ranges",
    "largest_operand",
    "operand_dtype",
    "score_dtype",
]

Norm = Literal["div_d", "softmax"]
Accumulation = Literal["wrap", "wide"]

# Softmax subtracts two scores and adds a rounding constant below 2**32: this bound keeps both inside int64 (K-1).
SOFTMAX_SCORE_MAX = 2**61
# The device's table of powers of two is Q30 (K-6).
PROBABILITY_BITS_MAX = 30

_INT32_MAX = 2**31 - 1
_INT64_MAX = 2**63 - 1


class AccumulatorOverflow(ValueError):
    """Operands of this size could overflow a kernel's accumulator. Raised at plan time, never while a kernel runs.

    accumulator: "scores" or "outputs", the first that is too narrow.
    need_bits, have_bits: two's complement widths of the worst case and of what the kernel may use.
    largest_operand: the greatest limit for which |q|, |k|, |v| <= limit passes every check of the same kernel.
    """

    def __init__(self, message: str, *, accumulator: str, need_bits: int, have_bits: int, largest_operand: int) -> None:
        super().__init__(message)
        self.accumulator = accumulator
        self.need_bits = need_bits
        self.have_bits = have_bits
        self.largest_operand = largest_operand


@dataclass(frozen=True, slots=True, kw_only=True)
class _Need:
    """Largest magnitude an accumulator can be asked to hold, beside the largest it can hold."""

    accumulator: str
    magnitude: int
    limit: int


def operand_dtype(dtype: DTypeLike) -> np.dtype[np.signedinteger]:
    """The operand type as a numpy dtype. Raises TypeError unless it is int8, int16 or int32."""
    resolved: np.dtype[Any] = np.dtype(dtype)
    if resolved not in (np.dtype(np.int8), np.dtype(np.int16), np.dtype(np.int32)):
        raise TypeError(
            f"attention operands of type {resolved}: the kernels take int8, int16 or int32. "
            "Quantise with host.attention.quantise first."
        )
    return resolved


def score_dtype(dtype: DTypeLike) -> np.dtype[np.signedinteger]:
    """Type of an exact (`acc="wide"`) score: int32 for int8 operands, int64 for int16 and int32 (S0-5, K-1)."""
    return np.dtype(np.int32) if operand_dtype(dtype) == np.int8 else np.dtype(np.int64)


def check_ranges(
    *,
    dtype: DTypeLike,
    norm: Norm,
    acc: Accumulation,
    dim: int,
    max_tokens: int,
    q_max: int,
    k_max: int,
    v_max: int,
    probability_bits: int = 24,
) -> None:
    """Prove that the accumulators of one attention kernel cannot overflow (K-1), or refuse.

    `q_max`, `k_max` and `v_max` are the greatest operand magnitudes (128 when an int8 may be -128); `max_tokens` is the
    greatest number of tokens one DPU will hold. Scores accumulate in `score_dtype(dtype)`, outputs in int64; softmax
    weights are at most 2**probability_bits. `acc="wrap"` wraps by definition, so nothing is checked.

    Raises AccumulatorOverflow when the proof fails, ValueError for impossible arguments, TypeError for another dtype.
    """
    resolved = operand_dtype(dtype)
    _check_shape(norm, acc, dim, max_tokens, probability_bits)
    largest_magnitude = -int(np.iinfo(resolved).min)
    for name, value in (("q_max", q_max), ("k_max", k_max), ("v_max", v_max)):
        if not 0 <= value <= largest_magnitude:
            raise ValueError(f"{name} = {value}: a magnitude of {resolved} lies in 0 to {largest_magnitude}.")
    if acc == "wrap":
        return
    for need in _needs(resolved, norm, dim, max_tokens, q_max, k_max, v_max, probability_bits):
        if need.magnitude > need.limit:
            fits = largest_operand(
                dtype=resolved, norm=norm, acc=acc, dim=dim, max_tokens=max_tokens, probability_bits=probability_bits
            )
            need_bits, have_bits = _signed_bits(need.magnitude), _signed_bits(need.limit)
            raise AccumulatorOverflow(
                f"{need.accumulator} of {resolved} {norm} attention over {max_tokens} tokens x {dim} dimensions with "
                f"|q| <= {q_max}, |k| <= {k_max}, |v| <= {v_max} reach {need.magnitude} and need {need_bits} bits; "
                f"the accumulator holds magnitudes to {need.limit} ({have_bits} bits). Operands up to {fits} fit: "
                f'quantise with limit={fits}, or choose acc="wrap" to wrap as C does.',
                accumulator=need.accumulator,
                need_bits=need_bits,
                have_bits=have_bits,
                largest_operand=fits,
            )


def largest_operand(
    *, dtype: DTypeLike, norm: Norm, acc: Accumulation, dim: int, max_tokens: int, probability_bits: int = 24
) -> int:
    """Greatest limit such that `check_ranges` passes for |q|, |k|, |v| <= limit; at most the type's own maximum.

    127 for int8 and 32767 for int16 at every practical size. 0 means that not even operands of 1 fit.
    Raises ValueError and TypeError as `check_ranges` does.
    """
    resolved = operand_dtype(dtype)
    _check_shape(norm, acc, dim, max_tokens, probability_bits)
    fits, too_large = 0, int(np.iinfo(resolved).max) + 1
    if acc == "wrap":
        return too_large - 1
    while too_large - fits > 1:
        middle = (fits + too_large) // 2
        needs = _needs(resolved, norm, dim, max_tokens, middle, middle, middle, probability_bits)
        if all(need.magnitude <= need.limit for need in needs):
            fits = middle
        else:
            too_large = middle
    return fits


def _needs(
    dtype: np.dtype[np.signedinteger],
    norm: Norm,
    dim: int,
    max_tokens: int,
    q_max: int,
    k_max: int,
    v_max: int,
    probability_bits: int,
) -> tuple[_Need, _Need]:
    """Worst case of the two accumulators. No partial sum exceeds it, whatever the order of summation."""
    if score_dtype(dtype) == np.int32:
        score_limit = _INT32_MAX
    else:
        score_limit = SOFTMAX_SCORE_MAX if norm == "softmax" else _INT64_MAX
    weight_max = 2**probability_bits if norm == "softmax" else q_max * k_max  # trunc(dim * q * k / dim)
    return (
        _Need(accumulator="scores", magnitude=dim * q_max * k_max, limit=score_limit),
        _Need(accumulator="outputs", magnitude=max_tokens * weight_max * v_max, limit=_INT64_MAX),
    )


def _check_shape(norm: Norm, acc: Accumulation, dim: int, max_tokens: int, probability_bits: int) -> None:
    if norm not in ("div_d", "softmax"):
        raise ValueError(f'norm = {norm!r}: choose "div_d" or "softmax".')
    if acc not in ("wrap", "wide"):
        raise ValueError(f'acc = {acc!r}: choose "wrap" or "wide".')
    if norm == "softmax" and acc == "wrap":
        raise ValueError('softmax has no wrapping form: choose acc="wide".')
    if dim < 1 or max_tokens < 1:
        raise ValueError(f"attention over {max_tokens} tokens x {dim} dimensions: both must be at least 1.")
    if not 1 <= probability_bits <= PROBABILITY_BITS_MAX:
        raise ValueError(f"probability_bits = {probability_bits}: choose 1 to {PROBABILITY_BITS_MAX} (default 24).")


def _signed_bits(magnitude: int) -> int:
    return magnitude.bit_length() + 1
