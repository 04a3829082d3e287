"""Static range checks of the integer attention kernels.

Owns the accumulator widths and the proof that operands of a given size cannot overflow them; everything is exact Python
integer arithmetic at plan time, so a kernel never checks at run time. Knows no data and no device.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, get_args

import numpy as np
from numpy.typing import DTypeLike

from dpu_kernels.attention import RUNNING_ROWS, Accumulation, Norm, products_of

from .integer_math import whole_number
from .operands import operand_dtype, operand_type

__all__ = [
    "PROBABILITY_BITS_MAX",
    "SCORE_MAX",
    "AccumulatorOverflow",
    "OperandLimits",
    "check_ranges",
    "largest_operand",
    "operand_limits",
    "score_dtype",
]

# Softmax subtracts two scores and z-scores a score and a mean; both add a rounding constant of at most 2**61: this
# bound keeps everything inside int64 (K-1).
SCORE_MAX = 2**61
# The device's powers of two are Q30 (K-6).
PROBABILITY_BITS_MAX = 30

_INT32_MAX = 2**31 - 1
_INT64_MAX = 2**63 - 1
# |z| <= sqrt(n - 1) and 2**F sqrt(n - 1) <= 32767; a weight is off by less than one unit (K-5, zscore_bounds) over
# as many tokens as the sums of squares allow.
_ZSCORE_WEIGHT_MAX = 2**15
_SQUARE_LIMB = 2**24  # the limbs of sums.LinearSums.square_limbs


class AccumulatorOverflow(ValueError):
    """Operands of this size could overflow a kernel's accumulator. Raised at plan time, never while a kernel runs.

    accumulator: "scores", "score sums", "squares of scores", "weights", "products", "running sums" or "outputs", the
        first that is too narrow.
    need_bits, have_bits: two's complement widths of the worst case and of what the kernel may use.
    largest_operand: the greatest limit for which |q|, |k|, |v| <= limit passes every check of the same kernel.
    """

    def __init__(self, message: str, *, accumulator: str, need_bits: int, have_bits: int, largest_operand: int) -> None:
        super().__init__(message)
        self.accumulator = accumulator
        self.need_bits = need_bits
        self.have_bits = have_bits
        self.largest_operand = largest_operand


class OperandLimits(NamedTuple):
    """Greatest magnitudes to quantise to: of q, and of K and V."""

    q: int
    kv: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kernel:
    """Everything the worst cases depend on, beside the size of the operands."""

    dtype: np.dtype[np.signedinteger]
    norm: Norm
    dim: int
    max_tokens: int
    probability_bits: int
    bias_max: int


class _Need(NamedTuple):
    """Largest magnitude an accumulator can be asked to hold, beside the largest it can hold."""

    accumulator: str
    magnitude: int
    limit: int


def score_dtype(dtype: DTypeLike) -> np.dtype[np.signedinteger]:
    """Type of an exact (`acc="wide"`) score: int32 for int4 and int8 operands, else int64 (S0-5, K-1)."""
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
    bias_max: int = 0,
) -> None:
    """Prove that the accumulators of one attention kernel cannot overflow (K-1), or refuse.

    `q_max`, `k_max` and `v_max` are the greatest operand magnitudes (128 when an int8 may be -128); `max_tokens` is the
    greatest number of tokens one DPU will hold; `bias_max` is the greatest |bias| added to a score (K-9). Scores
    accumulate in `score_dtype(dtype)`, sums of up to RUNNING_ROWS rows and products of 8 bits in int32 where they fit
    (`running_kind`, `products_of`), everything else in int64; softmax weights are at most 2**probability_bits.
    `acc="wrap"` wraps by definition, so nothing is checked.

    Raises AccumulatorOverflow when the proof fails, ValueError for impossible arguments, TypeError for another dtype
    and for sizes that are no integers.
    """
    kernel = _kernel(dtype, norm, acc, dim, max_tokens, probability_bits, bias_max)
    operand = operand_type(dtype)
    q_max, k_max, v_max = whole_number("q_max", q_max), whole_number("k_max", k_max), whole_number("v_max", v_max)
    for name, value, largest in (
        ("q_max", q_max, -operand.q_min),
        ("k_max", k_max, -operand.kv_min),
        ("v_max", v_max, -operand.kv_min),
    ):
        if not 0 <= value <= largest:
            raise ValueError(f"{name} = {value}: a magnitude of {operand.name} lies in 0 to {largest}.")
    if acc == "wrap":
        return
    for need in _needs(kernel, q_max, k_max, v_max):
        if need.magnitude > need.limit:
            fits = _largest(_fits_all(kernel), operand.kv_max)
            need_bits, have_bits = _signed_bits(need.magnitude), _signed_bits(need.limit)
            biased = f", |bias| <= {bias_max}" if bias_max else ""
            wrapping = ', or choose acc="wrap" to wrap as C does' if norm == "div_d" else ""
            raise AccumulatorOverflow(
                f"{need.accumulator} of {operand.name} {norm} attention over {max_tokens} tokens x {dim} dimensions "
                f"with |q| <= {q_max}, |k| <= {k_max}, |v| <= {v_max}{biased} reach {need.magnitude} and need "
                f"{need_bits} bits; the accumulator holds magnitudes to {need.limit} ({have_bits} bits). "
                f"Operands up to {fits} fit: quantise with limit={fits}{wrapping}.",
                accumulator=need.accumulator,
                need_bits=need_bits,
                have_bits=have_bits,
                largest_operand=fits,
            )


def largest_operand(
    *,
    dtype: DTypeLike,
    norm: Norm,
    acc: Accumulation,
    dim: int,
    max_tokens: int,
    probability_bits: int = 24,
    bias_max: int = 0,
) -> int:
    """Greatest limit such that `check_ranges` passes for |q|, |k|, |v| <= limit; at most the type's own maximum.

    7 for int4, 127 for int8 and 32767 for int16 at every practical size. 0 means that not even operands of 1 fit.
    Raises ValueError and TypeError as `check_ranges` does.
    """
    kernel = _kernel(dtype, norm, acc, dim, max_tokens, probability_bits, bias_max)
    most = operand_type(dtype).kv_max
    return most if acc == "wrap" else _largest(_fits_all(kernel), most)


def operand_limits(
    *,
    dtype: DTypeLike,
    norm: Norm,
    acc: Accumulation,
    dim: int,
    max_tokens: int,
    probability_bits: int = 24,
    bias_max: int = 0,
) -> OperandLimits:
    """Magnitudes to quantise q, and K and V, to. int4: (127, 7), where that fits; else `largest_operand` for both.

    Arguments and errors are those of `largest_operand`.
    """
    kernel = _kernel(dtype, norm, acc, dim, max_tokens, probability_bits, bias_max)
    operand = operand_type(dtype)
    kv = operand.kv_max if acc == "wrap" else _largest(_fits_all(kernel), operand.kv_max)
    if operand.q_max == operand.kv_max:
        return OperandLimits(q=kv, kv=kv)
    return OperandLimits(q=operand.q_max if acc == "wrap" else _largest(_fits_with(kernel, kv), operand.q_max), kv=kv)


def _needs(kernel: _Kernel, q_max: int, k_max: int, v_max: int) -> Iterator[_Need]:
    """Worst cases of the accumulators. No partial sum exceeds them, whatever the order of summation."""
    tokens = kernel.max_tokens
    score = kernel.dim * q_max * k_max + kernel.bias_max
    if score_dtype(kernel.dtype) == np.int32:
        score_limit = _INT32_MAX
    else:
        score_limit = SCORE_MAX if kernel.norm in ("softmax", "softmax_online", "zscore") else _INT64_MAX
    yield _Need("scores", score, score_limit)
    if kernel.norm in ("zscore", "zscore_linear"):
        # s = hi * 2**24 + lo with |lo| <= 2**23, so |hi| <= (|s| + 2**23) / 2**24
        high, low = (score + _SQUARE_LIMB // 2) // _SQUARE_LIMB, min(score, _SQUARE_LIMB // 2)
        yield _Need("score sums", tokens * score, _INT64_MAX)
        yield _Need("squares of scores", tokens * max(high, low) ** 2, _INT64_MAX)
    weight = _weight_max(kernel, score)
    if kernel.norm == "div_d" and kernel.dtype == np.int16:
        yield _Need("weights", weight, _INT32_MAX)
    if products_of(8 * kernel.dtype.itemsize, kernel.norm, kernel.probability_bits) == "int32":
        # Softmax weights are not negative, and only the lowest element has the magnitude 2**7: -2**31 is the worst.
        yield _Need("products", weight * v_max, _INT32_MAX + 1)
    if kernel.norm in ("div_d", "zscore") and kernel.dtype == np.int8:
        yield _Need("running sums", min(tokens, RUNNING_ROWS) * weight * v_max, _INT32_MAX)
    yield _Need("outputs", tokens * weight * v_max, _INT64_MAX)


def _weight_max(kernel: _Kernel, score_max: int) -> int:
    """Largest magnitude that multiplies a value.

    Rescaling to a new maximum (K-8) never makes a sum larger: |rsh(x w, 30)| <= |x| for 0 <= w <= 2**30, as rounding
    keeps the order of numbers. With x = hi * 2**30 + lo its products hi * w and lo * w fit int64 whenever x does.
    """
    if kernel.norm == "div_d":
        return score_max // kernel.dim
    if kernel.norm == "zscore":
        return _ZSCORE_WEIGHT_MAX
    if kernel.norm == "zscore_linear":
        return max(score_max, 1)  # B is the sum of V itself
    return 2**kernel.probability_bits


def _fits(kernel: _Kernel, q_max: int, kv_max: int) -> bool:
    return all(need.magnitude <= need.limit for need in _needs(kernel, q_max, kv_max, kv_max))


def _fits_all(kernel: _Kernel) -> Callable[[int], bool]:
    return lambda limit: _fits(kernel, limit, limit)


def _fits_with(kernel: _Kernel, kv_max: int) -> Callable[[int], bool]:
    return lambda limit: _fits(kernel, limit, kv_max)


def _largest(fits: Callable[[int], bool], most: int) -> int:
    """Greatest limit up to `most` that fits, 0 if none does."""
    known, too_large = 0, most + 1
    while too_large - known > 1:
        middle = (known + too_large) // 2
        if fits(middle):
            known = middle
        else:
            too_large = middle
    return known


def _kernel(
    dtype: DTypeLike,
    norm: Norm,
    acc: Accumulation,
    dim: int,
    max_tokens: int,
    probability_bits: int,
    bias_max: int,
) -> _Kernel:
    resolved = operand_dtype(dtype)
    if norm not in get_args(Norm):
        raise ValueError(f"norm = {norm!r}: choose one of {', '.join(get_args(Norm))}.")
    if acc not in get_args(Accumulation):
        raise ValueError(f'acc = {acc!r}: choose "wrap" or "wide".')
    if norm != "div_d" and acc == "wrap":
        raise ValueError(f'{norm} has no wrapping form: choose acc="wide".')
    dim, max_tokens = whole_number("dim", dim), whole_number("max_tokens", max_tokens)
    probability_bits, bias_max = whole_number("probability_bits", probability_bits), whole_number("bias_max", bias_max)
    if dim < 1 or max_tokens < 1:
        raise ValueError(f"attention over {max_tokens} tokens x {dim} dimensions: both must be at least 1.")
    if not 1 <= probability_bits <= PROBABILITY_BITS_MAX:
        raise ValueError(f"probability_bits = {probability_bits}: choose 1 to {PROBABILITY_BITS_MAX} (default 24).")
    if bias_max < 0:
        raise ValueError(f"bias_max = {bias_max}: it is the greatest magnitude of a bias, at least 0.")
    return _Kernel(
        dtype=resolved,
        norm=norm,
        dim=dim,
        max_tokens=max_tokens,
        probability_bits=probability_bits,
        bias_max=bias_max,
    )


def _signed_bits(magnitude: int) -> int:
    return magnitude.bit_length() + 1
