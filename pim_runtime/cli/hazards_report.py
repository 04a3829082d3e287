"""The score table of the hazard suite: how many planted mistakes are reported, at their place, with clean twins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .output import Cell, Check, Column, Report, Section, Table

if TYPE_CHECKING:
    from host.hazards.hazard import Outcome

__all__ = ["hazards_report"]

SCORE_NOTE = (
    "A mistake counts as reported when the report calls it by its name, and its place as correct when that report "
    "names the planted line. Every mistake has a twin, the corrected program, which runs afterwards: clean is silent."
)

_SCORES = (
    Column(name="group"),
    Column(name="engine"),
    Column(name="planted", origin="exact"),
    Column(name="reported", origin="exact"),
    Column(name="place correct", origin="exact"),
    Column(name="twins clean", origin="exact"),
)
_HAZARDS = (
    Column(name="group"),
    Column(name="mistake"),
    Column(name="reported as"),
    Column(name="line"),
    Column(name="compiled"),
    Column(name="interpreted"),
)


def hazards_report(outcomes: Sequence[Outcome]) -> Report:
    """Scores by group and engine, every mistake with its verdicts, and a check for each."""
    sections = (
        Section(
            title="Score",
            tables=(Table(title="", columns=_SCORES, rows=tuple(_score_rows(outcomes))),),
            notes=(SCORE_NOTE,),
        ),
        Section(title="Mistakes", tables=(Table(title="", columns=_HAZARDS, rows=tuple(_hazard_rows(outcomes))),)),
        Section(title="Verdicts", checks=tuple(map(_check, outcomes))),
    )
    return Report(title="Hazard suite: planted mistakes and their corrected twins", sections=sections)


def _score_rows(outcomes: Sequence[Outcome]) -> list[tuple[Cell, ...]]:
    groups = dict.fromkeys((outcome.hazard.group, outcome.engine) for outcome in outcomes)
    rows = [
        (*key, *_counts([o for o in outcomes if (o.hazard.group, o.engine) == key])) for key in sorted(groups, key=str)
    ]
    return [*rows, ("all", "", *_counts(outcomes))]


def _counts(outcomes: Sequence[Outcome]) -> tuple[int, ...]:
    return (
        len(outcomes),
        sum(outcome.is_reported for outcome in outcomes),
        sum(outcome.has_place for outcome in outcomes),
        sum(outcome.has_clean_twin for outcome in outcomes),
    )


def _hazard_rows(outcomes: Sequence[Outcome]) -> list[tuple[Cell, ...]]:
    verdicts = {(outcome.hazard.name, outcome.engine): _verdict(outcome) for outcome in outcomes}
    hazards = dict.fromkeys(outcome.hazard for outcome in outcomes)
    return [
        (
            hazard.group,
            hazard.name,
            hazard.reported_as,
            f"{hazard.at.file}:{hazard.at.line}",
            verdicts.get((hazard.name, "compiled"), "-"),
            verdicts.get((hazard.name, "interpreted"), "-"),
        )
        for hazard in hazards
    ]


def _verdict(outcome: Outcome) -> str:
    if not outcome.is_reported:
        return "MISSED"
    if not outcome.has_place:
        return "WRONG PLACE"
    return "ok" if outcome.has_clean_twin else "FALSE ALARM"


def _check(outcome: Outcome) -> Check:
    reports = [f"{report.what}: {report.text}" for report in (*outcome.planted, *outcome.mended)]
    detail = "" if outcome.passed else f"{_verdict(outcome)}; reported: {' | '.join(reports) or 'nothing'}"
    return Check(name=f"{outcome.hazard.name} ({outcome.engine})", passed=outcome.passed, detail=detail)
