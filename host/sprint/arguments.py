"""Checks of the arrays that every part of the pipeline takes: int8 operands, masks of kept or pruned tokens."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["check_int8", "check_mask", "check_queries_and_keys", "check_queries_keys_and_values"]


def check_int8(name: str, values: NDArray[Any], axes: str) -> None:
    """Raise TypeError unless `values` are int8, ValueError unless they have the last `axes`, none but queries empty.

    axes: names such as "queries, dim", for the message and to know how many there must be.
    """
    names = axes.split(", ")
    if not isinstance(values, np.ndarray) or values.dtype != np.int8:
        kind = values.dtype if isinstance(values, np.ndarray) else type(values).__name__
        raise TypeError(
            f"{name} are {kind}: SPRINT cuts int8 into bits. Quantise with host.attention.quantise, limit=127."
        )
    if values.ndim < len(names):
        raise ValueError(f"{name} have shape {values.shape}: it must be [..., {axes}].")
    for axis, size in zip(names, values.shape[-len(names) :], strict=True):
        if size == 0 and axis != "queries":
            raise ValueError(f"{name} have shape {values.shape} as [..., {axes}]: there is none of {axis}.")


def check_queries_and_keys(queries: NDArray[np.int8], keys: NDArray[np.int8]) -> None:
    """Raise as `check_int8` for queries [..., queries, dim] and keys [..., tokens, dim], ValueError if they differ.

    Leading axes, such as layers and heads, must broadcast.
    """
    check_int8("queries", queries, "queries, dim")
    check_int8("keys", keys, "tokens, dim")
    if queries.shape[-1] != keys.shape[-1]:
        raise ValueError(f"queries {queries.shape} and keys {keys.shape}: dim, the last axis, must be the same.")
    _check_leading("queries", queries, "keys", keys)


def check_queries_keys_and_values(queries: NDArray[np.int8], keys: NDArray[np.int8], values: NDArray[np.int8]) -> None:
    """As `check_queries_and_keys`, with values [..., tokens, dim] that have a row for each key."""
    check_queries_and_keys(queries, keys)
    check_int8("values", values, "tokens, dim")
    if values.shape[-2:] != keys.shape[-2:]:
        raise ValueError(f"values {values.shape} and keys {keys.shape}: tokens and dim must be the same.")
    _check_leading("values", values, "keys", keys)


def check_mask(name: str, mask: NDArray[Any], shape: tuple[int, ...] | None = None) -> None:
    """Raise TypeError unless a mask is bool, ValueError unless it is [..., queries, tokens], or of the given shape."""
    if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_:
        kind = mask.dtype if isinstance(mask, np.ndarray) else type(mask).__name__
        raise TypeError(f"{name} is {kind}: it is bool, one per query and token.")
    if mask.ndim < 2 or (shape is not None and mask.shape != shape):
        wanted = "[..., queries, tokens]" if shape is None else str(shape)
        raise ValueError(f"{name} has shape {mask.shape}: it must be {wanted}.")


def _check_leading(name: str, one: NDArray[Any], other_name: str, other: NDArray[Any]) -> None:
    """Raise ValueError unless the axes before the last two broadcast."""
    if any(a != b and 1 not in (a, b) for a, b in zip(one.shape[-3::-1], other.shape[-3::-1], strict=False)):
        raise ValueError(
            f"{name} {one.shape} and {other_name} {other.shape}: the axes before the last two do not match. "
            "Query heads that share K and V need an axis of their own: keys[:, None]."
        )
