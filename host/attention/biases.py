"""Tables of ALiBi biases as a DPU reads them: one ascending run of int64 for every position of the query (K-9).

A part holds every `stride`-th token, so the distances of its tokens to the query differ by the stride. The table has
one run per remainder of the distance, farthest first; a query's position decides where in which run to start.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dpu_kernels.attention import GROUP

from .partition import Partition

__all__ = ["BiasTable"]


@dataclass(frozen=True, slots=True)
class BiasTable:
    """The table of one query head for a context of up to `max_tokens`, however it is split."""

    partition: Partition
    max_tokens: int

    @property
    def stride(self) -> int:
        """Positions between neighbouring tokens of a part."""
        return self.partition.parts if self.partition.layout == "interleave" else 1

    @property
    def run_length(self) -> int:
        """Entries of one run."""
        return -(-self.max_tokens // self.stride)

    @property
    def nbytes(self) -> int:
        """Size of the table; behind the last run, room for the rest of a group of tokens."""
        return 8 * (self.stride * self.run_length + GROUP)

    def distances(self) -> NDArray[np.int64]:
        """Distance that each entry stands for, int64 [nbytes / 8]; 0 for those that no visible token uses."""
        steps = np.arange(self.run_length)[::-1] * self.stride
        runs = steps[None, :] + np.arange(self.stride)[:, None]
        return np.concatenate([runs.ravel(), np.zeros(GROUP, np.int64)])

    def start(self, position: ArrayLike, part: ArrayLike) -> NDArray[np.int64]:
        """Bytes from the start of the table to the entry of a part's token 0, for a query at `position`; int64.

        0 for a part that has no token before the position: it reads none.
        """
        first = (
            np.asarray(part) if self.stride > 1 else np.asarray(part) * self.partition.part_capacity(self.max_tokens)
        )
        distance = np.asarray(position, np.int64) - first
        steps, run = distance // self.stride, distance % self.stride
        return np.where(distance < 0, 0, 8 * (run * self.run_length + self.run_length - 1 - steps))
