"""The records of the suite: one planted mistake, what must be said about it, and what was said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from .places import Place, line_with
from .stage import Report, Stage

__all__ = ["ENGINES", "EngineName", "Group", "Hazard", "HostProgram", "Outcome", "Variant"]

EngineName = Literal["compiled", "interpreted"]
ENGINES: tuple[EngineName, ...] = ("compiled", "interpreted")

Variant = Literal["planted", "mended"]

Group = Literal[
    "broken rules",
    "endless waiting",
    "endless loops",
    "kernel language",
    "linking",
    "host program",
    "races",
    "undefined memory",
    "tasklet order",
    "mutexes",
    "stacks",
    "leftovers",
    "transfers",
    "saved states",
]


class HostProgram(Protocol):
    """A host program that can make a mistake."""

    def __call__(self, stage: Stage, variant: Variant) -> None:
        """Run with the mistake, or mended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hazard:
    """A mistake and its corrected twin.

    run: the host program, with the mistake or mended; it plays on a stage.
    reported_as: what the report must call it: a fault code, a kind of finding, or an error class.
    says: a phrase that the report must contain.
    at: the line that the report must name: of the kernel, or of the host program.
    engines: those that it applies to.
    """

    name: str
    group: Group
    run: HostProgram
    reported_as: str
    says: str
    at: Place
    engines: tuple[EngineName, ...] = ENGINES

    @classmethod
    def of_host(
        cls,
        name: str,
        group: Group,
        run: HostProgram,
        reported_as: str,
        says: str,
        *,
        engines: tuple[EngineName, ...] = ENGINES,
    ) -> Hazard:
        """A mistake in the line of the host program that says `# planted`."""
        at = line_with("# planted", run)
        return cls(name=name, group=group, run=run, reported_as=reported_as, says=says, at=at, engines=engines)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What was reported on one engine: of the planted mistake, and of its twin, which must be nothing."""

    hazard: Hazard
    engine: EngineName
    planted: tuple[Report, ...]
    mended: tuple[Report, ...]

    @property
    def fitting(self) -> list[Report]:
        """Reports that name the mistake."""
        hazard = self.hazard
        return [report for report in self.planted if report.what == hazard.reported_as and hazard.says in report.text]

    @property
    def is_reported(self) -> bool:
        """Whether some report names the mistake."""
        return bool(self.fitting)

    @property
    def has_place(self) -> bool:
        """Whether such a report names its line."""
        return any(self.hazard.at in report.places for report in self.fitting)

    @property
    def has_clean_twin(self) -> bool:
        """Whether the twin ran to its end without a report."""
        return not self.mended

    @property
    def passed(self) -> bool:
        """All three."""
        return self.is_reported and self.has_place and self.has_clean_twin
