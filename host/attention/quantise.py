"""Symmetric quantisation of attention operands: real tensors to integers with one scale per head.

Owns the rounding rule and the choice of the scale. How large an operand may be is `ranges`' business, what the
quantisation costs in accuracy is `bounds`'.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from .operands import operand_dtype

__all__ = ["Quantised", "align_scale", "apply_scale", "quantise", "quantise_vectors"]

# Below the smallest normal float64 a scale loses relative precision, and the largest element would saturate.
_SMALLEST_SCALE = float(np.finfo(np.float64).smallest_normal)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Quantised:
    """Integers and the scales that give them back their size: real = scale * values, to half a scale.

    values: int8, int16 or int32, the shape of the real tensor.
    scale: float64, the leading axes of `values`, always positive.
    """

    values: NDArray[np.signedinteger]
    scale: NDArray[np.float64]


def quantise(x: ArrayLike, *, dtype: DTypeLike, limit: int) -> Quantised:
    """Quantise `x` [..., tokens, dim] with one scale per head, shared by the last two axes (U-5).

    The scale is max|x| / limit, or 1.0 for a head of zeros, so nothing saturates. `limit` is the largest magnitude
    wanted: 127 for int8, 32767 for int16, for int32 what `ranges.largest_operand` allows.

    Raises ValueError for NaN, infinity, an empty or less than 2-dimensional tensor or a limit outside the type.
    """
    return _quantise(x, axes=(-2, -1), dtype=dtype, limit=limit)


def quantise_vectors(x: ArrayLike, *, dtype: DTypeLike, limit: int) -> Quantised:
    """Quantise `x` [..., dim] with one scale per vector: queries that arrive one at a time. Else as `quantise`."""
    return _quantise(x, axes=(-1,), dtype=dtype, limit=limit)


def apply_scale(x: ArrayLike, scale: ArrayLike, *, dtype: DTypeLike, limit: int) -> NDArray[np.signedinteger]:
    """Integers of `x` under a scale that is already fixed, such as a new token of a head whose cache is quantised.

    `scale` covers the leading axes of `x`. x / scale is rounded half away from zero and saturates at +-limit.
    Raises ValueError for NaN, infinity, a scale that is not positive or does not match, or a limit outside the type.
    """
    resolved = _checked_dtype(dtype, limit)
    real = _finite(x)
    scales: NDArray[np.float64] = np.asarray(scale, dtype=np.float64)
    if scales.shape != real.shape[: scales.ndim]:
        raise ValueError(
            f"scales of shape {scales.shape} for a tensor of shape {real.shape}: the scales' axes must be "
            "the leading axes of the tensor."
        )
    if not (np.isfinite(scales) & (scales > 0)).all():
        raise ValueError("a quantisation scale is zero, negative or not finite: scales are positive numbers.")
    with np.errstate(over="ignore"):  # an infinite number of steps saturates like any other
        steps = np.minimum(np.abs(real) / align_scale(scales, real.ndim), limit)
    whole = np.floor(steps)
    magnitude = whole + (steps - whole >= 0.5)
    values: NDArray[np.signedinteger] = np.copysign(magnitude, real).astype(resolved)
    return values


def align_scale(scale: ArrayLike, ndim: int) -> NDArray[np.float64]:
    """Scales of the leading axes, with axes appended so that they broadcast against a tensor of `ndim` axes."""
    scales: NDArray[np.float64] = np.asarray(scale, dtype=np.float64)
    return scales.reshape(scales.shape + (1,) * (ndim - scales.ndim))


def _quantise(x: ArrayLike, *, axes: tuple[int, ...], dtype: DTypeLike, limit: int) -> Quantised:
    _checked_dtype(dtype, limit)
    real = _finite(x)
    if real.ndim < len(axes) or real.size == 0:
        raise ValueError(
            f"cannot quantise a tensor of shape {real.shape}: a scale needs {len(axes)} axes with elements."
        )
    peak = np.abs(real).max(axis=axes)
    scale = np.where(peak > 0, np.maximum(peak / limit, _SMALLEST_SCALE), 1.0)
    return Quantised(values=apply_scale(real, scale, dtype=dtype, limit=limit), scale=scale)


def _checked_dtype(dtype: DTypeLike, limit: int) -> np.dtype[np.signedinteger]:
    resolved = operand_dtype(dtype)
    largest = int(np.iinfo(resolved).max)
    if not 1 <= limit <= largest:
        raise ValueError(f"limit = {limit} for {resolved}: choose 1 to {largest}.")
    return resolved


def _finite(x: ArrayLike) -> NDArray[np.float64]:
    given: NDArray[Any] = np.asarray(x)
    real = given.astype(np.float64)
    bad = np.argwhere(~np.isfinite(real))
    if len(bad):
        where = tuple(int(i) for i in bad[0])
        raise ValueError(
            f"{len(bad)} of {real.size} elements are not finite, the first {real[where]} at {where}: "
            "replace NaN and infinity before quantising."
        )
    return real
