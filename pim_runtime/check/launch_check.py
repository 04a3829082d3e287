"""Checks one launch on one DPU: the cyclic tasklet order, random ones, and what differs between them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..commands import Memory
from ..hardware import Hardware
from .differences import first_difference
from .dpu_shadow import DpuShadow
from .finding import Finding, Kind, SourcePlace
from .options import Check
from .side_run import Launched, Order, SideRun

__all__ = ["LaunchCheck"]

POISON, OTHER_POISON = 0xA5, 0x5A  # what undefined memory holds; results must not depend on which of the two
CYCLIC = Order("cyclic", 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchCheck:
    """How to check a launch.

    shadow: what is known of the DPU's memory before it. read: `read(memory, address, target)` copies the DPU's bytes.
    report: takes what is found.
    """

    hardware: Hardware
    options: Check
    launched: Launched
    shadow: DpuShadow
    read: Callable[[Memory, int, NDArray[np.uint8]], None]
    report: Callable[[Finding], None]
    _found: list[Finding] = field(default_factory=list)

    def run(self) -> SideRun:
        """Report what is wrong; gives the run in the cyclic order, closed."""
        with self._side_run(CYCLIC, POISON) as cyclic:
            if cyclic.fault is None:  # otherwise the launch itself faults, and says why
                for seed in range(self.options.seed, self.options.seed + self.options.orders):
                    self._compare_orders(cyclic, Order("random", seed))
                if any(finding.kind == "uninitialised" for finding in self._found):
                    self._compare_poisons(cyclic)
            return cyclic

    @contextlib.contextmanager
    def _side_run(self, order: Order, poison: int) -> Iterator[SideRun]:
        side = SideRun(self.hardware, self.launched, self.shadow)
        try:
            side.fill(self.read)
            side.run(order, poison=poison, options=self.options, report=self._take)
            yield side
        finally:
            side.close()

    def _compare_orders(self, cyclic: SideRun, order: Order) -> None:
        with self._side_run(order, POISON) as other:
            fault, difference = other.fault, None
            if fault is None:
                difference = first_difference(self.launched.binary, self.launched.names, cyclic, other)
        repeat = f"EngineOptions(engine='interpreted', tasklet_order='random', seed={order.seed})"
        mend = f"Order what the tasklets do by a barrier or a mutex; {repeat} repeats this order"
        if fault is not None:
            places = (SourcePlace(fault.filename, fault.line),) if fault.filename else ()
            at = f" at {places[0]}" if places else ""
            text = f"the launch ends in the cyclic order of tasklets, and faults in {order}{at}: {fault.text}"
            self._say("order", "", (fault.tasklet,), places, f"{text}. {mend}")
        elif difference is not None:
            text = f"{difference} after the cyclic order of tasklets and after {order}"
            text += self._known_race(difference.name.symbol)
            self._say("order", difference.name.symbol, (), difference.places, f"{text}. {mend}")

    def _compare_poisons(self, cyclic: SideRun) -> None:
        with self._side_run(CYCLIC, OTHER_POISON) as other:
            if other.fault is not None:
                text = f"the launch faults or not, depending on what undefined memory holds: {other.fault.text}"
                self._say("uninitialised", "", (), (), text)
                return
            difference = first_difference(self.launched.binary, self.launched.names, cyclic, other)
        if difference is not None:
            text = f"{difference} when undefined memory holds {POISON:#x} and {OTHER_POISON:#x}: the uninitialised"
            self._say("uninitialised", difference.name.symbol, (), (), f"{text} values that are used reach the results")

    def _known_race(self, symbol: str) -> str:
        races = [finding.symbol for finding in self._found if finding.kind == "race"]
        if not races:
            return ""
        return f", which the race on {(symbol if symbol in races else races[0])!r} explains (see there)"

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
