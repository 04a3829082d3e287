"""Continuous batching on a KV cache: requests join when there is room and leave when they are done (S0-14).

Waiting requests are served in the order of their arrival. When a cache cannot give every request its next token, the
one that joined last goes back to the head of the queue, and joins again later with all the tokens that it had.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from .answers import Answers
from .kv_cache import KvCache
from .occupancy import Occupancy
from .trace import Integers, Operands, Trace, TracedRequest
from .wram_plan import CapacityError

__all__ = ["Step", "run_trace"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Step:
    """One step of a trace.

    answers: of every request that decoded, by (number, index of its query). waiting, preempted: requests. occupancy:
    while decoding. append_ps, join_ps, decode_ps: modelled time of the step's transfers and launches.
    """

    answers: dict[tuple[int, int], Answers]
    waiting: int
    preempted: int
    occupancy: Occupancy
    append_ps: int
    join_ps: int
    decode_ps: int

    @property
    def duration_ps(self) -> int:
        """Modelled time of the whole step."""
        return self.append_ps + self.join_ps + self.decode_ps


@dataclass(slots=True, eq=False)
class _Session:
    """A request that has arrived, and how many of its queries were answered."""

    request: TracedRequest
    operands: Operands
    answered: int = 0

    @property
    def tokens(self) -> int:
        """How many its next query sees."""
        return self.request.prompt + self.answered


def run_trace(cache: KvCache, trace: Trace) -> Iterator[Step]:
    """Serve a trace with a cache for its spec, which is empty before and after; gives every step in which one decodes.

    Raises CapacityError for a request that does not fit the empty cache, or outgrows a cache that it has for itself.
    """
    arriving = deque(trace.requests)
    waiting: deque[_Session] = deque()
    running: list[_Session] = []
    step = 0
    while arriving or waiting or running:
        if not (waiting or running):
            step = max(step, arriving[0].arrival)
        while arriving and arriving[0].arrival <= step:
            request = arriving.popleft()
            waiting.append(_Session(request, trace.operands(request)))
        started = cache.timeline.now_ps
        preempted = _grow(cache, running)
        waiting.extendleft(preempted)
        grown = cache.timeline.now_ps
        running += _admit(cache, waiting)
        joined = cache.timeline.now_ps
        queries = {session.request.number: session.operands.queries[session.answered] for session in running}
        answers = cache.decode(queries)
        yield Step(
            answers={
                (session.request.number, session.answered): answers[session.request.number] for session in running
            },
            waiting=len(waiting),
            preempted=len(preempted),
            occupancy=cache.occupancy(),
            append_ps=grown - started,
            join_ps=joined - grown,
            decode_ps=cache.timeline.now_ps - joined,
        )
        running = _retire(cache, running)
        step += 1


def _grow(cache: KvCache, running: list[_Session]) -> list[_Session]:
    """Append the newest token of every session. Gives, and drops, those that had to leave, the newest first."""
    preempted: list[_Session] = []
    while running:
        try:
            cache.append({session.request.number: _newest_row(session) for session in running})
            break
        except CapacityError:
            if len(running) == 1:
                raise
        session = running.pop()
        cache.leave(session.request.number)
        preempted.append(session)
    return preempted


def _admit(cache: KvCache, waiting: deque[_Session]) -> list[_Session]:
    """Let those join that there is room for, in order."""
    admitted: list[_Session] = []
    while waiting:
        session = waiting[0]
        _, k, v = session.operands
        try:
            cache.join(session.request.number, k[:, : session.tokens], v[:, : session.tokens])
        except CapacityError:
            if not len(cache):
                raise
            break
        admitted.append(waiting.popleft())
    return admitted


def _retire(cache: KvCache, running: list[_Session]) -> list[_Session]:
    """Count the answers of all sessions, and let those leave that have all of theirs."""
    remaining = []
    for session in running:
        session.answered += 1
        if session.answered < session.request.new_tokens:
            remaining.append(session)
        else:
            cache.leave(session.request.number)
    return remaining


def _newest_row(session: _Session) -> tuple[Integers, Integers]:
    _, k, v = session.operands
    return k[:, session.tokens - 1], v[:, session.tokens - 1]
