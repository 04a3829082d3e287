"""Which of the stored scores of a worker belong to a query: those of its tokens, or of the tokens that were kept."""

from __future__ import annotations

from typing import NamedTuple

from pim_runtime.device import DpuFunction, Tasklet, dpu_function

__all__ = ["WHOLE_RANGE", "Extent"]


class Extent(NamedTuple):
    """Places of a worker's scores, which lie in groups of eight, one group per round of the workers.

    first: (t, first token) -> the first place. end: (t, end, worker, workers, query) -> behind the last place.
    """

    first: DpuFunction
    end: DpuFunction


@dpu_function
def first_token(t: Tasklet, first: int) -> int:
    return first


@dpu_function
def end_of_tokens(t: Tasklet, end: int, worker: int, workers: int, query: int) -> int:
    return end


WHOLE_RANGE = Extent(first=first_token, end=end_of_tokens)
"""Every token of Argument.FIRST to Argument.END has a score, in its own place."""
