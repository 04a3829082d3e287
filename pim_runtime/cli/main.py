"""The `pim` command: finds the subcommand, runs it, prints what it found and says by its exit code whether all is well.

A subcommand is a module of this package that satisfies `Command`. It returns a report; printing, files and errors are
handled here, the same way for all.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Protocol

from ..errors import PimError
from . import (
    arith,
    attacc,
    attention,
    batching,
    bench,
    check,
    chip,
    claims,
    info,
    inspect_state,
    plan,
    sprint,
    validate,
)
from .json_file import report_as_json, write_json
from .output import Report
from .render import print_report
from .subcommands import add_json_option
from .versions import installed_version

__all__ = ["COMMANDS", "Command", "main"]

_CHECK_FAILED, _USER_ERROR, _INTERRUPTED, _READER_GONE = 1, 2, 130, 141  # the last two: 128 + signal, as shells say it


class Command(Protocol):
    """What a subcommand's module offers. Importing it must not import numba: every `pim` imports them all."""

    NAME: str
    HELP: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments; `--json` is declared for every command."""

    def run(self, arguments: argparse.Namespace) -> Report:
        """Do the work. Raises PimError, ValueError or OSError, with a message for the user, if it cannot be done."""


COMMANDS: tuple[Command, ...] = (
    arith,
    attacc,
    attention,
    batching,
    bench,
    check,
    chip,
    claims,
    info,
    inspect_state,
    plan,
    sprint,
    validate,
)
"""The subcommands' modules, in the order of the help."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run `pim` with `argv` (default: of this process).

    Returns 0 if every check passed, 1 if one failed, 2 for a user's mistake, 130 after Ctrl-C, 141 when the reader of
    the output is gone. Raises SystemExit after `--help`, `--version` and wrong arguments, as argparse does.
    """
    commands = {command.NAME: command for command in COMMANDS}
    arguments = _parser(commands).parse_args(argv)
    try:
        return _run(commands[arguments.command], arguments)
    except KeyboardInterrupt:
        print(f"pim {arguments.command}: interrupted", file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:
        # Python flushes stdout at exit, and would complain about the same pipe again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _READER_GONE
    except (PimError, ValueError, OSError) as error:
        print(f"pim {arguments.command}: {error}", file=sys.stderr)
        return _USER_ERROR
    except MemoryError as error:
        print(f"pim {arguments.command}: this computer has no memory for that: {error}. Ask for less", file=sys.stderr)
        return _USER_ERROR


def _run(command: Command, arguments: argparse.Namespace) -> int:
    report = command.run(arguments)
    if arguments.json is not None:
        content = report_as_json(report, command=command.NAME, version=installed_version("pim-runtime"))
        write_json(arguments.json, content)
    print_report(report, sys.stdout)
    sys.stdout.flush()
    return _CHECK_FAILED if report.failed else 0


def _parser(commands: dict[str, Command]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pim", description="An emulator of the UPMEM processing-in-memory machine.")
    parser.add_argument("--version", action="version", version=f"pim-runtime {installed_version('pim-runtime')}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in commands.items():
        subparser = subparsers.add_parser(name, help=command.HELP, description=command.HELP)
        command.add_arguments(subparser)
        add_json_option(subparser)
    return parser
