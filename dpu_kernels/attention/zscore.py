"""Norms "zscore" (K-5) and "zscore_linear" (M-4): scores with mean 0 and variance 1, or sums that give the same.

zscore: centre all scores, measure them on a scale that fits 64 bits, then weigh. With a head on several DPUs, the host
merges the statistics of their first launch and gives the constants to a second one (M-5). zscore_linear: the scores
themselves are the weights, and one more sum has weights of 1.
"""

from __future__ import annotations

from pim_runtime.device import DpuFunction, IntegerType, Tasklet, View, dpu_function, mram_read, mram_write
from pim_runtime.symbols import WramSymbol

from ..fixed_point import bit_length, int_sqrt, round_divide, round_shift, scale
from .extent import Extent
from .rows import first_group
from .shapes import GROUP, LOW_BITS, Argument, Stage, ZscoreConstant, ZscoreState, notes_length
from .statistics import LOWEST, add_up, highest, lowest

__all__ = ["NOTES", "append_statistics", "begin_statistics", "centred_sums", "observe_statistics", "zscore_weights"]

NOTES = notes_length("zscore")  # of a worker and query; the last two: sums of centred scores and of their squares
CENTRED_SUM, CENTRED_SQUARES = len(ZscoreState), len(ZscoreState) + 1


@dpu_function
def begin_statistics(state: View) -> None:
    for i in range(len(state)):
        state[i] = 0
    state[ZscoreState.LOWEST] = -LOWEST
    state[ZscoreState.HIGHEST] = LOWEST


@dpu_function
def observe_statistics(state: View, scores: View, skipped: int, filled: int) -> None:
    for j in range(skipped, filled):
        score = scores[j]
        high = round_shift(score, LOW_BITS)
        low = score - (high << LOW_BITS)
        state[ZscoreState.SCORE_SUM] = state[ZscoreState.SCORE_SUM] + score
        state[ZscoreState.LOWEST] = min(state[ZscoreState.LOWEST], score)
        state[ZscoreState.HIGHEST] = max(state[ZscoreState.HIGHEST], score)
        state[ZscoreState.HIGH_SQUARES] = state[ZscoreState.HIGH_SQUARES] + high * high
        state[ZscoreState.MIXED] = state[ZscoreState.MIXED] + high * low
        state[ZscoreState.LOW_SQUARES] = state[ZscoreState.LOW_SQUARES] + low * low


@dpu_function
def append_statistics(states: View, workers: int, queries: int, query: int, statistics: View) -> None:
    """Go behind the output."""
    for column in range(len(statistics)):
        if (column != ZscoreState.LOWEST) & (column != ZscoreState.HIGHEST):
            statistics[column] = add_up(states, workers, queries, query, NOTES, column)
    statistics[ZscoreState.LOWEST] = lowest(states, workers, queries, query, NOTES, ZscoreState.LOWEST)
    statistics[ZscoreState.HIGHEST] = highest(states, workers, queries, query, NOTES, ZscoreState.HIGHEST)


@dpu_function
def centre_of(states: View, workers: int, queries: int, query: int, tokens: int) -> int:
    """Mean score, rounded."""
    return round_divide(add_up(states, workers, queries, query, NOTES, ZscoreState.SCORE_SUM), tokens)


@dpu_function
def room(tokens: int) -> int:
    """Bits that a centred score may have, so that squares of all of them add up below 2**62."""
    return (60 - bit_length(tokens - 1)) >> 1


@dpu_function
def farthest_of(states: View, workers: int, queries: int, query: int, centre: int) -> int:
    """Largest distance of a score from the centre."""
    above = highest(states, workers, queries, query, NOTES, ZscoreState.HIGHEST) - centre
    return max(above, centre - lowest(states, workers, queries, query, NOTES, ZscoreState.LOWEST))


def centred_sums(arguments: WramSymbol, score: IntegerType, extent: Extent) -> DpuFunction:
    """Between phases 1 and 2: each worker's sums of centred scores and of their squares."""
    row_bytes = GROUP * score.itemsize
    first_place, end_of_places, tokens_of = extent.first, extent.end, extent.tokens

    @dpu_function
    def measure(t: Tasklet, worker: int, workers: int, group: View, cells: View, states: View) -> None:
        a = arguments.array(t)
        queries, first_token, last = a[Argument.QUERIES], a[Argument.FIRST], a[Argument.END]
        scores, in_range, start = group.window(0, GROUP), last - first_token, first_place(t, first_token)
        for i in range(queries * (in_range > 0)):
            tokens, end = tokens_of(t, in_range, workers, i), end_of_places(t, last, worker, workers, i)
            centre = centre_of(states, workers, queries, i, tokens)
            shift = room(tokens) - bit_length(farthest_of(states, workers, queries, i, centre))
            total, squares = 0, 0
            for first in range(first_group(a, worker), end, GROUP * workers):
                mram_read(t, a[Argument.SCORES] + (first // GROUP * queries + i) * row_bytes, scores, row_bytes)
                for j in range(max(0, start - first), min(GROUP, end - first)):
                    centred = scale(scores[j] - centre, shift)
                    total += centred
                    squares += centred * centred
            notes = states.window((worker * queries + i) * NOTES, NOTES)
            notes[CENTRED_SUM] = total
            notes[CENTRED_SQUARES] = squares

    return measure


def zscore_weights(arguments: WramSymbol, constants: WramSymbol, score: IntegerType, extent: Extent) -> DpuFunction:
    """Phase 2: z-scores in Q(F), with constants from all workers' sums, or from the host in Stage.SUMS."""
    row_bytes, nr_constants = GROUP * score.itemsize, len(ZscoreConstant)
    first_place, end_of_places, tokens_of, fraction_bits_of = extent

    @dpu_function
    def find_constants(t: Tasklet, a: View, workers: int, queries: int, query: int, states: View, found: View) -> None:
        tokens = tokens_of(t, a[Argument.END] - a[Argument.FIRST], workers, query)
        centre = centre_of(states, workers, queries, query, tokens)
        shift = room(tokens) - bit_length(farthest_of(states, workers, queries, query, centre))
        total = add_up(states, workers, queries, query, NOTES, CENTRED_SUM)
        mean = round_divide(total, tokens)
        squares = add_up(states, workers, queries, query, NOTES, CENTRED_SQUARES)
        squares -= mean * (2 * total - tokens * mean)  # of centred scores minus their mean
        inverse, final_shift = 0, 1
        if squares > 0:
            half_shift = (62 - bit_length(squares)) >> 1
            deviation = int_sqrt((squares << (2 * half_shift)) // tokens)
            normalising = 31 - bit_length(deviation)
            inverse = (1 << 61) // (deviation << normalising)
            final_shift = 61 - normalising - half_shift - fraction_bits_of(a[Argument.FRACTION_BITS], tokens)
        found[ZscoreConstant.CENTRE] = centre
        found[ZscoreConstant.SHIFT] = shift
        found[ZscoreConstant.MEAN] = mean
        found[ZscoreConstant.INVERSE] = inverse
        found[ZscoreConstant.FINAL_SHIFT] = final_shift

    @dpu_function
    def normalise(t: Tasklet, worker: int, workers: int, group: View, cells: View, states: View) -> None:
        a = arguments.array(t)
        queries, first_token, last = a[Argument.QUERIES], a[Argument.FIRST], a[Argument.END]
        weights, start = group.window(0, GROUP), first_place(t, first_token)
        for i in range(queries * (last > first_token)):
            found = cells.window(0, nr_constants)
            if a[Argument.STAGE] == Stage.SUMS:
                found = constants.array(t).window(i * nr_constants, nr_constants)
            else:
                find_constants(t, a, workers, queries, i, states, found)
            centre, shift = found[ZscoreConstant.CENTRE], found[ZscoreConstant.SHIFT]
            mean, inverse = found[ZscoreConstant.MEAN], found[ZscoreConstant.INVERSE]
            final_shift, end = found[ZscoreConstant.FINAL_SHIFT], end_of_places(t, last, worker, workers, i)
            for first in range(first_group(a, worker), end, GROUP * workers):
                address = a[Argument.SCORES] + (first // GROUP * queries + i) * row_bytes
                mram_read(t, address, weights, row_bytes)
                for j in range(GROUP):
                    score = weights[j]
                    weights[j] = 0
                    if (first + j >= start) & (first + j < end):
                        weights[j] = round_shift((scale(score - centre, shift) - mean) * inverse, final_shift)
                mram_write(t, weights, address, row_bytes)

    return normalise
