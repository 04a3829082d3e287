"""What a command has to say: sections of labelled numbers, tables and checks.

Owns the records that every command returns and the four origins that a number can have. `render` prints them,
`json_file` writes them; a command does neither.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, TypeAlias

import numpy as np

__all__ = ["Cell", "Check", "Column", "Origin", "Report", "Section", "Table", "Value"]

Origin = Literal["modelled", "measured here", "published", "exact"]
"""Where a number comes from: the clock of the emulator, this computer, a citation, or arithmetic without a model."""

Cell: TypeAlias = bool | int | float | Decimal | str | np.generic | None
"""One entry of a table; None where there is nothing to say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """One named number or fact. `source` says more about the origin: a citation, or how it was computed."""

    name: str
    value: Cell
    origin: Origin
    unit: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """Heading of a table column. `origin` is None for what is no result: names, sizes, texts."""

    name: str
    unit: str = ""
    origin: Origin | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of cells under columns. Raises ValueError if a row has another number of cells than there are columns."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def __post_init__(self) -> None:
        for index, row in enumerate(self.rows):
            if len(row) != len(self.columns):
                raise ValueError(
                    f"table {self.title!r}, row {index}: {len(row)} cells for {len(self.columns)} "
                    f"columns. Give one cell per column, None where there is nothing to say."
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Something that must hold. `detail` gives the numbers that were compared."""

    name: str
    passed: bool
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One part of a report; printed in the order values, tables, notes, checks. A note is one line of text."""

    title: str
    values: tuple[Value, ...] = ()
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything that one run of a command found out."""

    title: str
    sections: tuple[Section, ...]

    @property
    def checks(self) -> tuple[Check, ...]:
        """The checks of all sections, in order."""
        return tuple(check for section in self.sections for check in section.checks)

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that did not pass; the command succeeds when there are none."""
        return tuple(check for check in self.checks if not check.passed)
