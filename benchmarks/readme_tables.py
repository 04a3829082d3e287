"""The validation tables of the README, made from `pim validate`.

    python -m benchmarks.readme_tables

Writes what stands between the marks of the README. tests/test_readme_tables.py checks that it is what this makes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from pim_runtime.cli import validate
from pim_runtime.cli.output import Cell, Table

__all__ = ["README", "TABLES", "split_at", "table_text"]

README = Path(__file__).parent.parent / "README.md"
KERNELS = {"vec": "vector add", "red": "reduction", "scan": "scan"}
END = "<!-- end of table -->"

Rows = Iterable[Sequence[Cell]]


def main() -> int:
    """Write every table into the README."""
    text = README.read_text()
    for name in TABLES:
        before, _, after = split_at(name, text)
        text = before + table_text(name) + after
    README.write_text(text)
    return 0


def split_at(name: str, text: str) -> tuple[str, str, str]:
    """A text before, between and after the marks of a table. Raises ValueError if it has not got these marks."""
    mark = f"<!-- {name}: written by python -m benchmarks.readme_tables -->\n"
    before, found, rest = text.partition(mark)
    table, ended, after = rest.partition(END)
    if not (found and ended):
        raise ValueError(f"no table {name!r}: it goes between the lines {mark.strip()!r} and {END!r}. Add them.")
    return before + mark, table, ended + after


def table_text(name: str) -> str:
    """One of TABLES in Markdown. Runs all its points."""
    groups, make = TABLES[name]
    return make(_tables(*groups))


def _tables(*groups: str) -> dict[str, Table]:
    """The tables of `pim validate` for some groups of points, by title."""
    parser = argparse.ArgumentParser()
    validate.add_arguments(parser)
    report = validate.run(parser.parse_args(["--group", *groups]))
    return {table.title: table for section in report.sections for table in section.tables}


def _kernels(tables: Mapping[str, Table]) -> str:
    """By kernel and tasklets, automatic counts beside those of the listings."""
    rows = tables["By kernel and tasklets"].rows
    errors = {(kernel, tasklets, counts): row for counts, kernel, tasklets, *row in rows}
    groups = sorted(
        {key[:2] for key in errors}, key=lambda group: (tuple(KERNELS).index(group[0]), int(group[1].split()[0]))
    )
    return _markdown(
        ("kernel", "tasklets", "points", "counted: mean %", "worst %", "stated: mean %", "worst %"),
        (
            (
                KERNELS[kernel],
                tasklets,
                errors[kernel, tasklets, "automatic"][0],
                *(error for counts in ("automatic", "listing") for error in errors[kernel, tasklets, counts][1:3]),
            )
            for kernel, tasklets in groups
        ),
    )


def _transfers(tables: Mapping[str, Table]) -> str:
    """By machine and direction."""
    rows = tables["By machine and direction"].rows
    return _markdown(("profile", "direction", "published as", "points", "mean %", "worst %"), (row[:6] for row in rows))


def _attention(tables: Mapping[str, Table]) -> str:
    """The cells: batches are columns."""
    rows = tables["Push, run and pull of one decode step"].rows
    batches = tuple(dict.fromkeys(row[1] for row in rows))
    lines: list[tuple[Cell, ...]] = []
    for dtype in dict.fromkeys(row[0] for row in rows):
        cells = [row for row in rows if row[0] == dtype]
        lines.append((f"{dtype}, published, ms", *(f"{row[3]:.2f}" for row in cells)))
        lines.append((f"{dtype}, modelled, ms", *(f"{row[4]:.2f}" for row in cells)))
        lines.append(("error, %", *(f"{row[5]:+.2f}" for row in cells)))
    return _markdown(("batch", *batches), lines)


def _markdown(header: Sequence[Cell], rows: Rows) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(str(cell) for cell in line)} |\n" for line in lines)


TABLES: Mapping[str, tuple[tuple[str, ...], Callable[[Mapping[str, Table]], str]]] = MappingProxyType(
    {
        "kernels": (("vec", "red", "scan"), _kernels),
        "transfers": (("transfers",), _transfers),
        "attention": (("attention",), _attention),
    }
)
"""Groups of points of a table, and how it is made of the tables of `pim validate`."""


if __name__ == "__main__":
    sys.exit(main())
