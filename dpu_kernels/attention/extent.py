"""Which of the stored scores of a worker belong to a query: those of its tokens, or of the tokens that were kept."""

from __future__ import annotations

from typing import NamedTuple

from pim_runtime.device import DpuFunction, Tasklet, dpu_function

__all__ = ["WHOLE_RANGE", "Extent"]


class Extent(NamedTuple):
    """Places of a worker's scores, which lie in groups of eight, one group per round of the workers.

    first: (t, first token) -> the first place. end: (t, end, worker, workers, query) -> behind the last place.
    tokens: (t, tokens in the range, workers, query) -> how many of them count, 1 if none. fraction_bits: (bits for all
    tokens of the range, tokens that count) -> of z-scores over these.
    """

    first: DpuFunction
    end: DpuFunction
    tokens: DpuFunction
    fraction_bits: DpuFunction


@dpu_function
def first_token(t: Tasklet, first: int) -> int:
    return first


@dpu_function
def end_of_tokens(t: Tasklet, end: int, worker: int, workers: int, query: int) -> int:
    return end


@dpu_function
def all_tokens(t: Tasklet, tokens: int, workers: int, query: int) -> int:
    return tokens


@dpu_function
def bits_of_range(bits: int, tokens: int) -> int:
    return bits


WHOLE_RANGE = Extent(first=first_token, end=end_of_tokens, tokens=all_tokens, fraction_bits=bits_of_range)
"""Every token of Argument.FIRST to Argument.END has a score, in its own place."""
