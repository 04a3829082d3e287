"""One batching experiment: serve a trace, compare every answer with the integer reference, and look for leaks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pim_runtime import EngineOptions, Machine
from pim_runtime.timeline import Timeline

from .answers import Answers
from .batching import Step, run_trace
from .expected import expected_answers
from .kv_cache import KvCache
from .layout import Paging
from .occupancy import Occupancy
from .trace import Trace

__all__ = ["BatchingOutcome", "References", "different_elements", "run_batching"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BatchingOutcome:
    """What serving a trace left.

    compared, different: elements of all answers against the integer reference. left_over: the cache after the last
    request. free_ranks_before, free_ranks_after: of the machine. timeline: every command, modelled.
    """

    steps: tuple[Step, ...]
    compared: int
    different: int
    left_over: Occupancy
    free_ranks_before: int
    free_ranks_after: int
    timeline: Timeline

    @property
    def answers(self) -> dict[tuple[int, int], Answers]:
        """All answers, by request and index of its query."""
        return {key: answer for step in self.steps for key, answer in step.answers.items()}

    @property
    def duration_ps(self) -> int:
        """Modelled time."""
        return sum(step.duration_ps for step in self.steps)


class References:
    """What the requests of a trace must be answered; computed once, however often the trace is served."""

    def __init__(self, trace: Trace, *, nr_tasklets: int) -> None:
        self._trace, self._nr_tasklets = trace, nr_tasklets
        self._known: dict[int, list[Answers]] = {}

    def of(self, number: int) -> list[Answers]:
        """The answers to all queries of a request, each with arrays [1, heads, ...]."""
        if number not in self._known:
            request = self._trace.requests[number]
            queries, k, v = self._trace.operands(request)
            self._known[number] = [
                expected_answers(
                    self._trace.spec,
                    queries[i : i + 1],
                    k,
                    v,
                    nr_tasklets=self._nr_tasklets,
                    position=request.prompt + i - 1,
                )
                for i in range(request.new_tokens)
            ]
        return self._known[number]


def run_batching(
    trace: Trace,
    references: References,
    *,
    paging: Paging,
    nr_dpus: int,
    nr_tasklets: int,
    machine: Machine,
    options: EngineOptions | None = None,
    advance: Callable[[int], None],
) -> BatchingOutcome:
    """Serve a trace on `nr_dpus` DPUs; `advance(n)` is called when n answers more have been checked.

    Raises what KvCache and `run_trace` raise, and DpuFaultError.
    """
    free_ranks, compared, different, steps = machine.free_ranks, 0, 0, []
    with KvCache(
        trace.spec, nr_dpus=nr_dpus, paging=paging, nr_tasklets=nr_tasklets, machine=machine, options=options
    ) as cache:
        for step in run_trace(cache, trace):
            steps.append(step)
            for (number, index), answers in step.answers.items():
                expected = references.of(number)[index]
                compared += sum(array.size for array in _arrays(answers))
                different += different_elements(answers, expected)
            advance(len(step.answers))
        left_over, timeline = cache.occupancy(), cache.timeline
    return BatchingOutcome(
        steps=tuple(steps),
        compared=compared,
        different=different,
        left_over=left_over,
        free_ranks_before=free_ranks,
        free_ranks_after=machine.free_ranks,
        timeline=timeline,
    )


def different_elements(ours: Answers, theirs: Answers) -> int:
    """How many elements of two answers differ; axes of length 1 may be missing."""
    pairs = zip(_arrays(ours), _arrays(theirs), strict=True)
    return sum(int((a.reshape(b.shape) != b).sum()) for a, b in pairs)


def _arrays(answers: Answers) -> Iterable[NDArray[Any]]:
    return (answers,) if isinstance(answers, np.ndarray) else tuple(answers)
