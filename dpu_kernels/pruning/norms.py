"""What the norms do with the scores of kept tokens: the dense programs' functions, on the places of what is kept."""

from __future__ import annotations

from typing import NamedTuple

from pim_runtime.device import DpuFunction, IntegerType, Tasklet, View, div, dpu_function, int32
from pim_runtime.program import DpuProgram
from pim_runtime.symbols import WramSymbol

from ..attention.div_d import no_notes, no_statistics
from ..attention.exponential import Exponential
from ..attention.phases import norm_phases, nothing
from ..attention.shapes import Argument, FixedSizes, ZscoreState, notes_length
from .places import count_kept, kept_extent
from .shapes import PrunedNorm, ZscoreStatistic

__all__ = ["PrunedPhases", "pruned_phases"]


class PrunedPhases(NamedTuple):
    """What a norm does between scores and sums. notes: int64 that a worker keeps per query.

    settle: (t, notes, scores, filled), before scores of up to eight kept tokens are stored; it may change them.
    """

    notes: int
    begin: DpuFunction
    settle: DpuFunction
    measure: DpuFunction
    normalise: DpuFunction
    finish: DpuFunction


def pruned_phases(
    program: DpuProgram,
    arguments: WramSymbol,
    shared: WramSymbol,
    norm: PrunedNorm,
    score: IntegerType,
    exponential: Exponential,
    sizes: FixedSizes,
) -> PrunedPhases:
    """The phases of a norm."""
    if norm == "div_d":
        return PrunedPhases(0, no_notes, settling_divider(arguments, sizes), nothing, nothing, no_statistics)

    @dpu_function
    def queries(t: Tasklet) -> int:
        return sizes.queries or arguments.array(t)[Argument.QUERIES]

    extent = kept_extent(shared, notes_length(norm), queries)
    dense = norm_phases(program, arguments, norm, score, exponential, sizes, extent)
    observe = dense.observe

    @dpu_function
    def settle(t: Tasklet, state: View, scores: View, filled: int) -> None:
        observe(state, scores, 0, filled)

    finish = counting_finish(dense.finish, dense.notes) if norm == "zscore" else dense.finish
    return PrunedPhases(dense.notes, dense.begin, settle, dense.measure, dense.normalise, finish)


def settling_divider(arguments: WramSymbol, sizes: FixedSizes) -> DpuFunction:
    """As `div_d.divider`, but at once: no other score matters to the weight of a token."""

    @dpu_function
    def settle(t: Tasklet, state: View, scores: View, filled: int) -> None:
        dim = sizes.dim or arguments.array(t)[Argument.DIM]
        for j in range(filled):
            scores[j] = div(int32, scores[j], dim)

    return settle


def counting_finish(finish: DpuFunction, notes: int) -> DpuFunction:
    """The dense statistics, and behind them how many tokens were kept, on which the scale of z-scores depends."""

    @dpu_function
    def append(states: View, workers: int, queries: int, query: int, statistics: View) -> None:
        finish(states, workers, queries, query, statistics.window(0, len(ZscoreState)))
        size = workers * queries
        kept = states.window(size * (notes + 1), size)
        statistics[ZscoreStatistic.KEPT] = count_kept(kept, workers, queries, query)

    return append
