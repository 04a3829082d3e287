"""The stage of a hazard: a small machine, one engine, and an ear for everything that is reported meanwhile."""

from __future__ import annotations

import contextlib
import re
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from pim_runtime import (
    Check,
    CheckWarning,
    DpuFaultError,
    DpuProgram,
    DpuSet,
    EngineOptions,
    KernelError,
    Machine,
    PimError,
)
from pim_runtime.check.finding import Finding
from pim_runtime.engine.faults import Fault
from pim_runtime.errors import InvalidDpuSetError
from pim_runtime.hardware import Hardware
from pim_runtime.program import DpuBinary

from .places import Place

__all__ = ["MAX_ITERATIONS", "Report", "Stage"]

MAX_ITERATIONS = 1 << 16  # far more than a hazard needs, and soon over
NR_RANKS = 2
PLACE_IN_TEXT = re.compile(r"^([^:\s]+\.py):(\d+): ", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One thing that was reported: what it is called, in which words, and the source lines that it names."""

    what: str
    text: str
    places: frozenset[Place]


class Stage:
    """Runs host programs, which allocate here, and listens.

    hardware: the DPUs; the machine has two ranks of them. options: how kernels run.
    folder: where host programs may put files.
    """

    def __init__(self, hardware: Hardware, options: EngineOptions, folder: Path) -> None:
        self.hardware, self.options, self.folder = hardware, options, folder
        self.machine = Machine(replace(hardware, geometry=replace(hardware.geometry, ranks=NR_RANKS)))
        self._sets: list[DpuSet] = []
        self._checked: list[DpuSet] = []

    def allocate(
        self, nr_dpus: int, program: DpuProgram | DpuBinary | None = None, check: Check | None = None
    ) -> DpuSet:
        """A set that lives as long as the host program runs."""
        dpus = DpuSet(nr_dpus, binary=program, machine=self.machine, options=self.options, check=check)
        self._sets.append(dpus)
        self._checked += [dpus] * (check is not None)
        return dpus

    def play(self, host_program: Callable[[Stage], None]) -> tuple[Report, ...]:
        """Run a host program to its end or to its first error; gives what was reported."""
        reports: list[Report] = []
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", CheckWarning)  # every set keeps its findings
                host_program(self)
        except DpuFaultError as error:
            reports += map(_of_fault, error.faults)
        except KernelError as error:
            reports.append(Report(what=type(error).__name__, text=str(error), places=_places_in(str(error))))
        except (PimError, ValueError, TypeError, AttributeError) as error:
            reports.append(Report(what=type(error).__name__, text=str(error), places=_places_of(error)))
        finally:
            reports += [_of_finding(finding) for dpus in self._checked for finding in dpus.findings]
            for dpus in self._sets:
                with contextlib.suppress(InvalidDpuSetError):  # the host program has freed it
                    dpus.free()
            self._sets, self._checked = [], []
        return tuple(reports)


def _of_fault(fault: Fault) -> Report:
    place = Place(PurePath(fault.filename).name, fault.line)
    return Report(what=fault.code.name, text=fault.text, places=frozenset({place}))


def _of_finding(finding: Finding) -> Report:
    places = frozenset(Place(PurePath(place.filename).name, place.line) for place in finding.places)
    return Report(what=finding.kind, text=finding.text, places=places)


def _places_in(text: str) -> frozenset[Place]:
    return frozenset(Place(file, int(line)) for file, line in PLACE_IN_TEXT.findall(text))


def _places_of(error: Exception) -> frozenset[Place]:
    """Lines of the host program that an error passed through."""
    frames = traceback.extract_tb(error.__traceback__)
    here = PurePath(__file__).parent
    return frozenset(
        Place(PurePath(frame.filename).name, frame.lineno or 0)
        for frame in frames
        if PurePath(frame.filename).parent == here
    )
