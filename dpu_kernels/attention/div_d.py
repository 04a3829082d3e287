"""Norm "div_d": score / dim, truncated as in C (K-4), which is what the published program computes."""

from __future__ import annotations

from pim_runtime.device import (
    DpuFunction,
    IntegerType,
    Tasklet,
    View,
    div,
    dpu_function,
    int32,
    int64,
    mram_read,
    mram_write,
)
from pim_runtime.symbols import WramSymbol

from .rows import first_group
from .shapes import GROUP, Argument, FixedSizes

__all__ = ["divider", "no_notes", "no_statistics", "nothing_to_observe"]


@dpu_function
def no_notes(state: View) -> None:
    """There are none."""


@dpu_function
def nothing_to_observe(state: View, scores: View, skipped: int, filled: int) -> None:
    """A score's weight depends on no other score."""


@dpu_function
def no_statistics(states: View, workers: int, queries: int, query: int, statistics: View) -> None:
    """There are none."""


def divider(arguments: WramSymbol, sizes: FixedSizes, score: IntegerType) -> DpuFunction:
    """Phase 2: all queries' scores of a group at once."""
    promoted = int64 if score.bits == 64 else int32  # as C promotes operands: dim need not fit a narrow score

    @dpu_function
    def normalise(t: Tasklet, worker: int, workers: int, group: View, cells: View, states: View) -> None:
        a = arguments.array(t)
        dim, group_bytes = sizes.dim or a[Argument.DIM], group.nbytes
        for first in range(first_group(a, worker), a[Argument.END], GROUP * workers):
            mram_read(t, a[Argument.SCORES] + first // GROUP * group_bytes, group, group_bytes)
            for i in range(len(group)):
                group[i] = div(promoted, group[i], dim)
            mram_write(t, group, a[Argument.SCORES] + first // GROUP * group_bytes, group_bytes)

    return normalise
