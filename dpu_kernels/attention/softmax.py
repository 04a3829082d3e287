"""Norm "softmax": weights 2**-(slope * (max - score)) in Q(P), as host.attention.softmax_plan says (K-6, K-7)."""

from __future__ import annotations

from pim_runtime.device import DpuFunction, IntegerType, Tasklet, View, dpu_function, mram_read, mram_write
from pim_runtime.symbols import WramSymbol

from ..fixed_point import round_shift
from .extent import Extent
from .rows import first_group
from .shapes import GROUP, STATE_LENGTH, Argument, FixedSizes, SoftmaxConstant, SoftmaxState
from .statistics import LOWEST, add_up, highest

__all__ = ["append_sums", "begin_maximum", "observe_maximum", "softmax_weights", "weigher"]

LENGTH = STATE_LENGTH["softmax"]


@dpu_function
def observe_maximum(state: View, scores: View, skipped: int, filled: int) -> None:
    best = state[SoftmaxState.MAXIMUM]
    for j in range(skipped, filled):
        best = max(best, scores[j])
    state[SoftmaxState.MAXIMUM] = best


@dpu_function
def begin_maximum(state: View) -> None:
    state[SoftmaxState.MAXIMUM] = LOWEST


@dpu_function
def append_sums(states: View, workers: int, queries: int, query: int, statistics: View) -> None:
    """The largest score and the sum of weights go behind the output."""
    statistics[SoftmaxState.MAXIMUM] = highest(states, workers, queries, query, LENGTH, SoftmaxState.MAXIMUM)
    statistics[SoftmaxState.WEIGHT_SUM] = add_up(states, workers, queries, query, LENGTH, SoftmaxState.WEIGHT_SUM)


def weigher(power_of_two: DpuFunction) -> DpuFunction:
    """Weight in Q(bits) of a difference of scores (K-6)."""

    @dpu_function
    def weight(t: Tasklet, difference: int, pre_shift: int, multiplier: int, shift: int, bits: int) -> int:
        exponent = round_shift(round_shift(difference, pre_shift) * multiplier, shift)  # of 1/2, Q16
        halvings = exponent >> 16
        if halvings > bits + 1:
            return 0
        return round_shift(power_of_two(t, exponent & 0xFFFF), 30 - bits + halvings)

    return weight


def softmax_weights(
    arguments: WramSymbol,
    constants: WramSymbol,
    sizes: FixedSizes,
    score: IntegerType,
    weight: DpuFunction,
    extent: Extent,
) -> DpuFunction:
    """Phase 2: weights of a worker's tokens, and their sum."""
    nr_constants, row_bytes = len(SoftmaxConstant), GROUP * score.itemsize
    first_place, end_of_places = extent.first, extent.end

    @dpu_function
    def normalise(t: Tasklet, worker: int, workers: int, group: View, cells: View, states: View) -> None:
        a, queries = arguments.array(t), sizes.queries or arguments.array(t)[Argument.QUERIES]
        weights, first_token, last = group.window(0, GROUP), first_place(t, a[Argument.FIRST]), a[Argument.END]
        for i in range(queries):
            plan = constants.array(t).window(i * nr_constants, nr_constants)
            pre_shift, shift = plan[SoftmaxConstant.PRE_SHIFT], plan[SoftmaxConstant.SHIFT]
            multiplier, bits = plan[SoftmaxConstant.MULTIPLIER], plan[SoftmaxConstant.PROBABILITY_BITS]
            max_difference = plan[SoftmaxConstant.MAX_DIFFERENCE]
            top, total = highest(states, workers, queries, i, LENGTH, SoftmaxState.MAXIMUM), 0
            end = end_of_places(t, last, worker, workers, i)
            for first in range(first_group(a, worker), end, GROUP * workers):
                address = a[Argument.SCORES] + (first // GROUP * queries + i) * row_bytes
                mram_read(t, address, weights, row_bytes)
                for j in range(GROUP):
                    difference, share = top - weights[j], 0
                    if (difference <= max_difference) & (first + j >= first_token) & (first + j < end):
                        share = weight(t, difference, pre_shift, multiplier, shift, bits)
                    weights[j] = share
                    total += share
                mram_write(t, weights, address, row_bytes)
            states[(worker * queries + i) * LENGTH + SoftmaxState.WEIGHT_SUM] = total

    return normalise
