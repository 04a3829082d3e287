"""The identities of document 4's pruning on emulated DPUs (C4-03, R25): run, and compared bit for bit."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from host.sprint.calibration import quantile_threshold
from host.sprint.dpu_attention import DpuSetup, PrunedRun, at_positions, prune_on_dpus, stream_spec
from host.sprint.dpu_verification import arrays_of, differences
from host.sprint.inputs import QueryStream
from host.sprint.scores import approximate_scores
from host.sprint.thresholding import Thresholder

from .sprint_cases import Case, cases

__all__ = ["DpuIdentities", "dpu_identities"]

KEEP_FRACTIONS = (0.05, 0.133, 0.5)
QUERIES = 2  # of each head


class DpuIdentities(NamedTuple):
    """Integers that differ, of those compared.

    dense: theta = -infinity against the dense program. sparse: answers against attention over the survivors alone.
    decisions: kept tokens against the thresholds of the host.
    """

    dense: int
    sparse: int
    decisions: int
    compared: int

    @property
    def passed(self) -> bool:
        """Whether all are equal."""
        return not (self.dense or self.sparse or self.decisions)

    @property
    def detail(self) -> str:
        """One line for the report."""
        return (
            f"on DPUs {self.dense} integers differ from the dense program with theta = -infinity, {self.sparse} from "
            f"attention over the survivors, {self.decisions} decisions from the thresholds; {self.compared:,} compared"
        )


def dpu_identities() -> DpuIdentities:
    """Every case, dense and pruned, on DPUs of the default machine."""
    found = [_identities(case) for case in cases()]
    return DpuIdentities(*(sum(numbers) for numbers in zip(*found, strict=True)))


def _identities(case: Case) -> DpuIdentities:
    stream, how, setup = _stream(case), Thresholder(), DpuSetup()
    positions = range(min(QUERIES, stream.queries.shape[1]))
    scores = approximate_scores(stream.queries, stream.keys, how.analog)
    thetas = [np.array(-np.inf), *(quantile_threshold(scores, fraction) for fraction in KEEP_FRACTIONS)]
    runs: list[PrunedRun] = prune_on_dpus(stream, thetas, positions=positions, thresholder=how, setup=setup)
    pairs = list(zip(arrays_of(runs[0].pruned.answers), arrays_of(runs[0].dense.answers), strict=True))
    running, spec = at_positions(stream, positions), stream_spec(stream, setup, how)
    each = [differences(running, setup, spec, run.pruned, thresholder=how, theta=run.theta) for run in runs]
    return DpuIdentities(
        dense=sum(int(np.count_nonzero(ours != theirs)) for ours, theirs in pairs),
        sparse=sum(one.answers for one in each),
        decisions=sum(one.kept for one in each),
        compared=sum(theirs.size for _, theirs in pairs)
        + sum(one.answers_compared + one.kept_compared for one in each),
    )


def _stream(case: Case) -> QueryStream:
    return QueryStream(
        queries=case.queries,
        keys=case.keys,
        values=case.values,
        logit_scales=case.logit_scales,
        value_scales=np.ones(len(case.logit_scales)),
        layers=1,
        valid=case.keys.shape[1],
    )
