"""Checks one launch on one DPU: the cyclic tasklet order, random ones, and what differs between them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..commands import Memory
from ..engine.faults import Fault
from ..hardware import Hardware
from .alternative import Alternative
from .conditions import ACTUAL, CYCLIC, OTHER_POISON, POISON, Conditions, other_orders
from .differences import Difference, first_difference, mram_differences
from .dpu_shadow import DpuShadow
from .finding import Finding, Kind, SourcePlace
from .options import Check
from .remedies import any_order, known_race
from .side_run import Launched, SideRun

__all__ = ["LaunchCheck"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchCheck:
    """How to check a launch.

    shadow: what is known of the DPU's memory before it. read: `read(memory, address, target)` copies the DPU's bytes.
    alternatives: what MRAM would hold in other conditions before it, and in the end after it.
    report: takes what is found.
    """

    hardware: Hardware
    options: Check
    launched: Launched
    shadow: DpuShadow
    alternatives: dict[Conditions, Alternative]
    read: Callable[[Memory, int, NDArray[np.uint8]], None]
    report: Callable[[Finding], None]
    _found: list[Finding] = field(default_factory=list)

    def run(self) -> SideRun:
        """Report what is wrong; gives the run in the cyclic order, closed."""
        before = dict(self.alternatives)
        self.alternatives.clear()
        with self._side_run(ACTUAL, None) as cyclic:
            if cyclic.fault is None:  # otherwise the launch itself faults, and says why
                for order in other_orders(self.options.seed, self.options.orders):
                    conditions = Conditions(order, POISON)
                    self._compare_orders(cyclic, conditions, before.get(conditions))
                other_poison = Conditions(CYCLIC, OTHER_POISON)
                if other_poison in before or any(finding.kind == "uninitialised" for finding in self._found):
                    self._compare_poisons(cyclic, other_poison, before.get(other_poison))
            elif cyclic.fault.unassigned:
                self._say_unassigned(cyclic.fault)
            return cyclic

    @contextlib.contextmanager
    def _side_run(self, conditions: Conditions, alternative: Alternative | None) -> Iterator[SideRun]:
        side = SideRun(self.hardware, self.launched, self.shadow)
        try:
            side.fill(self.read, alternative)
            side.run(conditions, options=self.options, report=self._take)
            yield side
        finally:
            side.close()

    def _compare_orders(self, cyclic: SideRun, conditions: Conditions, carried: Alternative | None) -> None:
        with self._side_run(conditions, carried) as other:
            fault, difference = other.fault, self._compare(cyclic, other, conditions, carried)
        mend = f"Order what the tasklets do by a barrier or a mutex; {conditions.order.repeat} repeats this order"
        if fault is not None and fault.unassigned:
            self._say_unassigned(fault)
        elif fault is not None:
            places = (SourcePlace(fault.filename, fault.line),) if fault.filename else ()
            at = f" at {places[0]}" if places else ""
            order = conditions.order
            text = f"the launch ends in the cyclic order of tasklets, and faults in {order}{at}: {fault.text}"
            self._say("order", "", (fault.tasklet,), places, f"{text}. {mend}")
        elif difference is not None:
            symbol = difference.name.symbol
            text = f"{difference} {conditions.contrast}{known_race(self._races(), symbol)}. {mend}"
            self._say("order", symbol, (), difference.places, f"{text}; {any_order(symbol)}")

    def _compare_poisons(self, cyclic: SideRun, conditions: Conditions, carried: Alternative | None) -> None:
        with self._side_run(conditions, carried) as other:
            fault, difference = other.fault, self._compare(cyclic, other, conditions, carried)
        if fault is not None:
            text = f"the launch faults or not, depending on what undefined memory holds: {fault.text}"
            self._say("uninitialised", "", (), (), text)
        elif difference is not None:
            text = f"{difference} {conditions.contrast}: the uninitialised values that are used reach the results"
            self._say("uninitialised", difference.name.symbol, (), (), text)

    def _compare(
        self, cyclic: SideRun, other: SideRun, conditions: Conditions, carried: Alternative | None
    ) -> Difference | None:
        """Remember how MRAM differs, which is no mistake unless the host reads it; gives what it sees at once."""
        if other.fault is not None:
            return None
        alternative = mram_differences(cyclic, other, carried, self._races())
        if len(alternative.words):
            self.alternatives[conditions] = alternative
        # What is undefined is so in any order of results: the option is not about it.
        unordered = self.options.unordered if conditions.poison == POISON else ()
        return first_difference(self.launched.binary, self.launched.names, unordered, cyclic, other)

    def _say_unassigned(self, fault: Fault) -> None:
        place = SourcePlace(fault.filename, fault.line)
        text = (
            f"tasklet {fault.tasklet} uses the local variable {fault.unassigned!r} at {place}, but has not assigned it"
            " on the way there: compiled code goes on with a value of its own. Assign it on every way (what this launch"
            " does afterwards is not checked)"
        )
        self._say("uninitialised", fault.unassigned, (fault.tasklet,), (place,), text)

    def _races(self) -> list[str]:
        return [finding.symbol for finding in self._found if finding.kind == "race"]

    def _say(
        self, kind: Kind, symbol: str, tasklets: tuple[int, ...], places: tuple[SourcePlace, ...], text: str
    ) -> None:
        finding = Finding(
            kind=kind,
            program=self.launched.binary.name,
            symbol=symbol,
            places=places,
            dpus=(self.launched.dpu,),
            dpus_per_rank=self.hardware.geometry.dpus_per_rank,
            tasklets=tasklets,
            phase=None,
            text=text,
        )
        self._take(finding)

    def _take(self, finding: Finding) -> None:
        self._found.append(finding)
        self.report(finding)
