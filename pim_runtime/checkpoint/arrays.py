"""The arrays of a container, each of which is written once: launches that count alike share their counters."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .container import Container, Member
from .fields import Fields

__all__ = ["ArrayReader", "ArrayWriter"]


class ArrayWriter:
    """Collects arrays; equal ones get one number."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, tuple[int, ...], bytes], int] = {}

    def number(self, array: NDArray[Any]) -> int:
        """The number under which the array is written."""
        key = array.dtype.str, array.shape, array.tobytes()
        return self._numbers.setdefault(key, len(self._numbers))

    def members(self) -> list[Member]:
        """The arrays as members of a container."""
        return [
            (_member(number), np.frombuffer(content, dtype).reshape(shape))
            for (dtype, shape, content), number in self._numbers.items()
        ]


class ArrayReader:
    """Arrays of a container by their numbers."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self._arrays: dict[int, NDArray[Any]] = {}

    def of(self, fields: Fields, key: str, dtype: type[np.generic], nr_axes: int) -> NDArray[Any]:
        """The array that an entry names. Raises CheckpointError for another dtype or number of axes."""
        number = fields.integer(key)
        if number not in self._arrays:
            self._arrays[number] = self._container.array(_member(number), dtype, nr_axes)
        array = self._arrays[number]
        if array.dtype != np.dtype(dtype) or array.ndim != nr_axes:
            raise ValueError(f"array {number} is {array.dtype} with {array.ndim} axes")
        return array


def _member(number: int) -> str:
    return f"arrays/{number}.npy"
