"""Where the report of a benchmark goes: to standard output, and to a JSON file as those of `pim` do."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pim_runtime.cli.json_file import report_as_json, write_json
from pim_runtime.cli.output import Report
from pim_runtime.cli.render import print_report
from pim_runtime.cli.versions import installed_version

__all__ = ["add_json_option", "delivered"]


def add_json_option(parser: argparse.ArgumentParser) -> None:
    """Declare `--json`."""
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the report to FILE")


def delivered(report: Report, command: str, file: Path | None) -> int:
    """Print a report and, if there is a file, write it; gives the exit code: 1 when a check failed.

    Raises OutputError when the file cannot be written.
    """
    print_report(report, sys.stdout)
    if file is not None:
        write_json(file, report_as_json(report, command=command, version=installed_version("pim-runtime")))
    return 1 if report.failed else 0
