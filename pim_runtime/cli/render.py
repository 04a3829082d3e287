"""A report as text: rich tables on a terminal if rich is installed, plain aligned columns otherwise.

Owns how numbers are written for people. Pipes and files always get the plain form, which has no width limit.
"""

from __future__ import annotations

from decimal import Decimal
from importlib.util import find_spec
from typing import TextIO

import numpy as np

from .output import Cell, Check, Column, Report, Section, Table

__all__ = ["format_cell", "print_report"]


def print_report(report: Report, stream: TextIO) -> None:
    """Write the report to `stream`, and last whether its checks passed."""
    show_table = _print_rich_table if stream.isatty() and find_spec("rich") else _print_plain_table
    _print_heading(report.title, "=", stream)
    for section in report.sections:
        print(file=stream)
        _print_heading(section.title, "-", stream)
        for table in (*_values_table(section), *section.tables):
            if table.title:
                print(f"\n{table.title}", file=stream)
            show_table(table, stream)
        for note in section.notes:
            print(note, file=stream)
        for check in section.checks:
            print(_check_line(check), file=stream)
    if report.checks:
        print(f"\n{_verdict(report)}", file=stream)


def format_cell(cell: Cell) -> str:
    """A cell for people: thousands separated, four significant digits of a float, yes or no, "-" for None.

    >>> format_cell(1234567), format_cell(12.34567), format_cell(True)
    ('1,234,567', '12.35', 'yes')
    """
    value = cell.item() if isinstance(cell, np.generic) else cell
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | Decimal):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if 1e4 <= abs(value) < 1e12 else f"{value:.4g}"
    return str(value)


def _print_heading(title: str, rule: str, stream: TextIO) -> None:
    print(f"{title}\n{rule * len(title)}", file=stream)


def _values_table(section: Section) -> tuple[Table, ...]:
    """The values of a section as a table, without the columns that none of them fills; none if it has no values."""
    if not section.values:
        return ()
    rows = [(value.name, format_cell(value.value), value.unit, value.origin, value.source) for value in section.values]
    names = ("what", "value", "unit", "origin", "source")
    used = [index for index in range(len(names)) if any(row[index] for row in rows)]
    return (
        Table(
            title="",
            columns=tuple(Column(name=names[index]) for index in used),
            rows=tuple(tuple(row[index] for index in used) for row in rows),
        ),
    )


def _check_line(check: Check) -> str:
    return f"{'PASS' if check.passed else 'FAIL'}  {check.name}" + (f": {check.detail}" if check.detail else "")


def _verdict(report: Report) -> str:
    failed, count = report.failed, len(report.checks)
    if failed:
        return f"{len(failed)} of {count} checks FAILED: {', '.join(check.name for check in failed)}"
    return "the check passed" if count == 1 else f"all {count} checks passed"


def _heading_lines(column: Column) -> tuple[str, str]:
    return column.name, ", ".join(part for part in (column.unit, column.origin) if part)


def _is_number(cell: Cell) -> bool:
    return isinstance(cell, int | float | Decimal | np.number) and not isinstance(cell, bool)


def _number_columns(table: Table) -> list[bool]:
    """Which columns hold numbers only, and are therefore set flush right."""
    cells = [[row[index] for row in table.rows if row[index] is not None] for index in range(len(table.columns))]
    return [bool(column) and all(map(_is_number, column)) for column in cells]


def _print_plain_table(table: Table, stream: TextIO) -> None:
    headings = [_heading_lines(column) for column in table.columns]
    lines = [list(line) for line in zip(*headings, strict=True) if any(line)]
    lines += [[format_cell(cell) for cell in row] for row in table.rows]
    widths = [max(map(len, texts)) for texts in zip(*lines, strict=True)]
    numbers = _number_columns(table)
    for line in lines:
        padded = [
            text.rjust(width) if number else text.ljust(width)
            for text, width, number in zip(line, widths, numbers, strict=True)
        ]
        print(f"  {'  '.join(padded)}".rstrip(), file=stream)


def _print_rich_table(table: Table, stream: TextIO) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    shown = RichTable(box=box.SIMPLE_HEAD)
    for column, number in zip(table.columns, _number_columns(table), strict=True):
        heading = "\n".join(line for line in _heading_lines(column) if line)
        shown.add_column(Text(heading), justify="right" if number else "left", overflow="fold")
    for row in table.rows:
        # Text, since rich would read brackets in a string as markup.
        shown.add_row(*(Text(format_cell(cell)) for cell in row))
    Console(file=stream).print(shown)
