"""Findings: what the checker has to say, each with its kind, where it is and how to mend it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, overload

from ..language.diagnostics import place_text
from ..topology import numbered

__all__ = ["CheckWarning", "Finding", "Findings", "Kind", "SourcePlace"]

Kind = Literal["race", "uninitialised", "order", "stack", "mutex", "leftover", "transfer", "runtime words"]


class CheckWarning(UserWarning):
    """A finding of the checker; issued once for each new one."""


class SourcePlace(NamedTuple):
    """A line of a kernel or of the host program."""

    filename: str
    line: int

    def __str__(self) -> str:
        return place_text(self.filename, self.line)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One mistake, on all DPUs and tasklets where it was seen.

    kind: what rule it is about. program: the name of the DPU program. symbol: the variable or region.
    places: one or two source lines, empty for what has none. dpus: numbers inside the allocation, which has
    `dpus_per_rank` in a rank. tasklets: those that take part; empty for the host. phase: barriers opened before.
    text: what, value, limit, fix.
    """

    kind: Kind
    program: str
    symbol: str
    places: tuple[SourcePlace, ...]
    dpus: tuple[int, ...]
    dpus_per_rank: int
    tasklets: tuple[int, ...]
    phase: int | None
    text: str

    @property
    def key(self) -> tuple[object, ...]:
        """Findings with the same key are one."""
        return self.kind, self.program, self.symbol, tuple(sorted(self.places))

    @property
    def ranks(self) -> tuple[int, ...]:
        """Ranks of the DPUs, counted inside the allocation."""
        return tuple(sorted({dpu // self.dpus_per_rank for dpu in self.dpus}))

    @property
    def where(self) -> str:
        """Rank, DPUs, tasklets and phase."""
        parts = [numbered("rank", self.ranks), numbered("DPU", self.dpus)]
        if self.tasklets:
            parts.append(numbered("tasklet", self.tasklets))
        if self.phase is not None:
            parts.append(f"phase {self.phase}")
        return ", ".join(parts)

    def __str__(self) -> str:
        return f"{self.kind}: program {self.program!r}, {self.where}: {self.text}"


class Findings(Sequence[Finding]):
    """All findings of a checker in the order they were found, alike ones joined. As a text: one per line."""

    def __init__(self) -> None:
        self._findings: dict[tuple[object, ...], Finding] = {}
        self._unannounced: list[tuple[object, ...]] = []

    def __len__(self) -> int:
        return len(self._findings)

    @overload
    def __getitem__(self, index: int) -> Finding: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Finding]: ...

    def __getitem__(self, index: int | slice) -> Finding | Sequence[Finding]:
        return list(self._findings.values())[index]

    def __str__(self) -> str:
        return "\n".join(map(str, self))

    def add(self, finding: Finding) -> None:
        """Keep a finding, or add its DPUs and tasklets to the one that it repeats."""
        old = self._findings.get(finding.key)
        if old is None:
            self._findings[finding.key] = finding
            self._unannounced.append(finding.key)
            return
        self._findings[finding.key] = replace(
            old,
            dpus=tuple(sorted({*old.dpus, *finding.dpus})),
            tasklets=tuple(sorted({*old.tasklets, *finding.tasklets})),
        )

    def announce(self, distance: int) -> None:
        """Issue a CheckWarning for each finding that is new since the last call, at a line `distance` callers up."""
        keys, self._unannounced = self._unannounced, []
        for key in keys:
            warnings.warn(CheckWarning(str(self._findings[key])), stacklevel=distance + 2)
