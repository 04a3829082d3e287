"""Who waits for what when no tasklet of a DPU can run, and why nobody will come.

Read from the run record and the WRAM right after the deadlock, so both engines say the same.
"""

from __future__ import annotations

import functools
import graphlib
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..device.raw import peek8
from ..device.run_record import MUTEX_OWNERS, SITES, STATES
from ..device.scheduler import FINISHED, OPERAND, RUNNABLE
from ..device.sync import BARRIER, COUNT, HANDSHAKE_NOTIFY, HANDSHAKE_WAIT, INITIAL_COUNT, MUTEX, SEMAPHORE
from ..language.closure import Closure
from ..language.diagnostics import place_text
from ..symbols import Barrier, Mutex
from ..topology import format_ranges, numbered

__all__ = ["Standstill", "Wait"]

PAIRING = "Pair every handshake_notify with one handshake_wait_for"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Tasklets that wait for the same thing at the same place. `why` says who fails to come, and the mend."""

    tasklets: tuple[int, ...]
    what: str
    filename: str
    line: int
    why: str

    def __str__(self) -> str:
        waits = "waits" if len(self.tasklets) == 1 else "wait"
        at = place_text(self.filename, self.line)
        return f"{numbered('tasklet', self.tasklets)} {waits} for {self.what} at {at}: {self.why}"


class Standstill:
    """The state of one DPU in a deadlock.

    record: its run record. wram: host address of its WRAM. closure: of its kernel, whose barriers, semaphores and
    mutexes are known by name.
    """

    def __init__(self, record: NDArray[np.int64], nr_tasklets: int, wram: int, closure: Closure) -> None:
        self._wram, self._closure = wram, closure
        self._states: list[int] = record[STATES : STATES + nr_tasklets].tolist()
        self._sites: list[int] = record[SITES : SITES + nr_tasklets].tolist()
        self._holders: list[int] = (record[MUTEX_OWNERS:] - 1).tolist()

    @property
    def first_waiting(self) -> int:
        """The lowest tasklet that waits."""
        return next(tasklet for tasklet, state in enumerate(self._states) if state > RUNNABLE)

    @functools.cached_property
    def waits(self) -> tuple[Wait, ...]:
        """What the tasklets wait for, in order of the first tasklet of each."""
        alike: dict[tuple[int, int], list[int]] = defaultdict(list)
        for tasklet, state in enumerate(self._states):
            if state > RUNNABLE:
                alike[state, self._sites[tasklet]].append(tasklet)
        return tuple(
            Wait(
                tasklets=tuple(tasklets),
                what=self._what(state),
                filename=self._closure.files.get(site >> 32, ""),
                line=site & OPERAND,
                why=self._why(state, tasklets),
            )
            for (state, site), tasklets in alike.items()
        )

    def explanation(self) -> str:
        """One line per wait, who has finished, and the circle in which tasklets wait for each other."""
        lines = [str(wait) for wait in self.waits]
        if self._finished:
            lines.append(f"finished: {format_ranges(self._finished)}")
        circle = self._circle()
        if circle:
            followers = ", which waits for ".join(f"tasklet {tasklet}" for tasklet in circle[1:])
            lines.append(f"a circle: tasklet {circle[0]} waits for {followers}")
        return "\n".join(f"  {line}" for line in lines)

    @property
    def _finished(self) -> list[int]:
        return [tasklet for tasklet, state in enumerate(self._states) if state == FINISHED]

    def _what(self, state: int) -> str:
        primitive, operand = state >> 32, state & OPERAND
        if primitive == HANDSHAKE_WAIT:
            return f"tasklet {operand} to notify"
        if primitive == HANDSHAKE_NOTIFY:
            return "a tasklet that waits for its notification"
        for sync in self._closure.sync:
            if isinstance(sync, Mutex):
                if (primitive, operand) == (MUTEX, sync.bit):
                    return f"mutex {sync.name!r}"
            elif primitive == (BARRIER if isinstance(sync, Barrier) else SEMAPHORE) and operand == sync.address:
                return f"{'barrier' if primitive == BARRIER else 'semaphore'} {sync.symbol.name!r}"
        return f"yield code {state:#x}"

    def _why(self, state: int, tasklets: list[int]) -> str:
        primitive, operand = state >> 32, state & OPERAND
        if primitive == BARRIER:
            return self._why_barrier(operand, state)
        if primitive == MUTEX:
            return self._why_mutex(self._holders[operand], state, tasklets)
        if primitive == SEMAPHORE:
            count = f"its count is {peek8(self._wram + operand + COUNT)}"
            return f"{count}, and {self._others(state, 'give')}. Give as many units as are taken"
        if primitive == HANDSHAKE_NOTIFY:
            return f"{self._others(state, 'listen')}. {PAIRING}"
        return self._why_handshake(operand, tasklets)

    def _why_barrier(self, address: int, state: int) -> str:
        count, here = peek8(self._wram + address + INITIAL_COUNT), self._states.count(state)
        left_over = count - here - peek8(self._wram + address + COUNT)
        said = f"it counts {count} tasklets and {here} {'is' if here == 1 else 'are'} here"
        if left_over:
            return (
                f"{said}, but it still counts {left_over} of an earlier launch, which ended in a fault. Load the "
                "program again after a fault"
            )
        if count > len(self._states):
            return f"{said}; the program has {len(self._states)}. Declare the barrier without a count, or with that one"
        return f"{said}; {self._others(state, 'come')}. Let all that it counts come equally often"

    def _why_mutex(self, holder: int, state: int, tasklets: list[int]) -> str:
        if holder in tasklets:
            who = "it holds it itself" if len(tasklets) == 1 else f"tasklet {holder} holds it already"
            return f"{who}, and a mutex is not recursive. Unlock it before locking it again"
        if self._states[holder] == FINISHED:
            return f"tasklet {holder} holds it and has finished. Unlock it on every way out of the kernel"
        if self._states[holder] == state:
            return f"tasklet {holder} holds it and locks it again elsewhere. Unlock it before"
        return (
            f"tasklet {holder} holds it and waits for {self._what(self._states[holder])}. Take mutexes in the same "
            "order everywhere, and wait for nothing else while holding one"
        )

    def _why_handshake(self, notifier: int, tasklets: list[int]) -> str:
        if notifier in tasklets:
            return "that is itself. Wait for another tasklet"
        if self._states[notifier] == FINISHED:
            return f"tasklet {notifier} has finished. {PAIRING}"
        return f"tasklet {notifier} itself waits for {self._what(self._states[notifier])}. {PAIRING}"

    def _others(self, state: int, do: str) -> str:
        """Why none of the tasklets that are not in `state` will `do` what is waited for."""
        elsewhere: dict[int, list[int]] = defaultdict(list)
        for tasklet, other in enumerate(self._states):
            if other > RUNNABLE and other != state:
                elsewhere[other].append(tasklet)
        parts = []
        if self._finished:
            parts.append(
                f"{numbered('tasklet', self._finished)} {'has' if len(self._finished) == 1 else 'have'} finished"
            )
        for other, tasklets in elsewhere.items():
            parts.append(
                f"{numbered('tasklet', tasklets)} {'waits' if len(tasklets) == 1 else 'wait'} for {self._what(other)}"
            )
        return " and ".join(parts) or f"no other tasklet is there to {do}"

    def _circle(self) -> list[int]:
        """Tasklets of which each waits for the next; the last is the first again. Empty when there is no circle."""
        needs = {tasklet: self._needs(tasklet) for tasklet in range(len(self._states))}
        try:
            graphlib.TopologicalSorter(needs).prepare()
        except graphlib.CycleError as error:
            circle: list[int] = error.args[1][:0:-1]
            first = circle.index(min(circle))
            return [*circle[first:], *circle[:first], min(circle)]
        return []

    def _needs(self, tasklet: int) -> list[int]:
        """Other tasklets without which this one stays where it is."""
        state = self._states[tasklet]
        primitive, operand = state >> 32, state & OPERAND
        if state <= RUNNABLE:
            return []
        if primitive == MUTEX:
            needed = [self._holders[operand]]
        elif primitive == HANDSHAKE_WAIT:
            needed = [operand]
        elif primitive == BARRIER:
            elsewhere = [other for other, there in enumerate(self._states) if RUNNABLE < there != state]
            needed = elsewhere if peek8(self._wram + operand + COUNT) >= len(elsewhere) else []
        else:
            needed = []
        return [other for other in needed if other != tasklet and self._states[other] != FINISHED]
