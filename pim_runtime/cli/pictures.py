"""A picture of what a report says, and beside it the numbers that it shows, as a file of comma-separated values.

Owns the option `--plot FILE` and the form of these values; what is drawn is said in `report`.
"""

from __future__ import annotations

import argparse
import csv
import io
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ..output_file import replaced
from .files import writable_file
from .output import Column, Section, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["add_picture_option", "picture_file", "picture_section", "table_as_csv"]

FORMATS = (".svg", ".png")


def add_picture_option(parser: argparse.ArgumentParser, what: str) -> None:
    """Declare `--plot FILE`, which draws `what`."""
    parser.add_argument(
        "--plot",
        type=picture_file,
        metavar="FILE",
        help=f"draw {what}: {' or '.join(FORMATS)}, and its numbers as .csv (needs matplotlib)",
    )


def picture_file(text: str) -> Path:
    """The value of --plot; a missing package is found here, before the work, and not after it."""
    path = Path(text)
    if path.suffix not in FORMATS:
        raise argparse.ArgumentTypeError(f"{text}: pictures are {' or '.join(FORMATS)}. Name a file that ends so.")
    if find_spec("matplotlib") is None:
        raise argparse.ArgumentTypeError("plots need matplotlib: pip install 'pim-runtime[report]'")
    writable_file(str(path.with_suffix(".csv")))
    return writable_file(text)


def picture_section(path: Path | None, draw: Callable[[], Figure], numbers: Table) -> tuple[Section, ...]:
    """Write a picture and the table that it shows; a section that names the files, or none without a path.

    Raises OutputError for a file that cannot be written.
    """
    if path is None:
        return ()
    from ..report.canvas import save_plot

    save_plot(draw(), path)
    values = path.with_suffix(".csv")
    with replaced(values) as file:
        file.write(table_as_csv(numbers).encode())
    return (Section(title="Files", notes=(f"picture: {path}", f"its numbers: {values}")),)


def table_as_csv(table: Table) -> str:
    """The table with a row of headings, "time (ms, modelled)"; cells in full precision, empty where there is nothing.

    >>> table_as_csv(Table(title="", columns=(Column(name="time", unit="s"),), rows=((0.5,), (None,))))
    'time (s)\\r\\n0.5\\r\\n""\\r\\n'
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(map(_heading, table.columns))
    writer.writerows(table.rows)
    return text.getvalue()


def _heading(column: Column) -> str:
    known = ", ".join(part for part in (column.unit, column.origin) if part)
    return f"{column.name} ({known})" if known else column.name
