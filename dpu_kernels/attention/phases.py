"""What the norms do between scores and sums, as functions that a program puts together."""

from __future__ import annotations

from typing import NamedTuple

from pim_runtime.device import DpuFunction, IntegerType, Tasklet, View, dpu_function, int64, uint32
from pim_runtime.program import DpuProgram
from pim_runtime.symbols import WramSymbol

from .div_d import divider, no_notes, no_statistics, nothing_to_observe
from .exponential import Exponential
from .extent import WHOLE_RANGE, Extent
from .powers import power_of_two
from .scores import mark_nothing, mark_tokens
from .shapes import MAX_QUERIES, STATE_LENGTH, TABLE_SIZE, FixedSizes, Norm, SoftmaxConstant
from .softmax import append_sums, begin_maximum, observe_maximum, softmax_weights, weigher
from .zscore import NOTES, append_statistics, begin_statistics, centred_sums, observe_statistics, zscore_weights

__all__ = ["Phases", "norm_phases", "nothing"]

NR_CONSTANTS = len(SoftmaxConstant)  # as many as ZscoreConstant has


class Phases(NamedTuple):
    """What a norm does between scores and sums.

    notes: int64 that a worker keeps per query. extra_rows: sums of V beside those of the queries.
    """

    notes: int
    extra_rows: int
    begin: DpuFunction
    observe: DpuFunction
    mark: DpuFunction
    measure: DpuFunction
    normalise: DpuFunction
    finish: DpuFunction


@dpu_function
def nothing(t: Tasklet, worker: int, workers: int, group: View, cells: View, states: View) -> None:
    """A phase that a norm does not have."""


def norm_phases(
    program: DpuProgram,
    arguments: WramSymbol,
    norm: Norm,
    score: IntegerType,
    exponential: Exponential,
    sizes: FixedSizes,
    extent: Extent = WHOLE_RANGE,
) -> Phases:
    """The phases of a norm. extent: which stored scores belong to a worker; for softmax and zscore."""
    if norm == "div_d":
        normalise = divider(arguments, sizes, score)
        return Phases(0, 0, no_notes, nothing_to_observe, mark_nothing, nothing, normalise, no_statistics)
    if norm == "zscore_linear":
        finish = append_statistics
        return Phases(NOTES, 1, begin_statistics, observe_statistics, mark_tokens, nothing, nothing, finish)
    constants = program.host("constants", int64, MAX_QUERIES * NR_CONSTANTS)
    if norm == "zscore":
        measure, normalise = centred_sums(arguments, score, extent), zscore_weights(arguments, constants, score, extent)
        finish = append_statistics
        return Phases(NOTES, 0, begin_statistics, observe_statistics, mark_nothing, measure, normalise, finish)
    weight = weigher(power_of_two(exponential, program.host("exp2_table", uint32, TABLE_SIZE)))
    normalise, notes = softmax_weights(arguments, constants, sizes, score, weight, extent), STATE_LENGTH["softmax"]
    return Phases(notes, 0, begin_maximum, observe_maximum, mark_nothing, nothing, normalise, append_sums)
