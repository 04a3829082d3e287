"""Commands that have commands of their own, as in `pim arith weights`; each is a module like a command's.

Owns how they are declared, and `--json`, which may stand before or behind the name of the inner command.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, Protocol

from .files import writable_file
from .output import Report

__all__ = ["Subcommand", "add_json_option", "add_subcommands", "run_subcommand"]


class Subcommand(Protocol):
    """What the module of an inner command offers, as `main.Command`."""

    NAME: str
    HELP: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, arguments: argparse.Namespace) -> Report: ...


def add_subcommands(parser: argparse.ArgumentParser, subcommands: Sequence[Subcommand]) -> None:
    """Declare inner commands, one of which must be named."""
    inner = parser.add_subparsers(dest="subcommand", required=True, metavar="WHAT")
    for subcommand in subcommands:
        subparser = inner.add_parser(subcommand.NAME, help=subcommand.HELP, description=subcommand.HELP)
        subcommand.add_arguments(subparser)
        # Its own default would replace a file that was named before the inner command.
        add_json_option(subparser, default=argparse.SUPPRESS)


def run_subcommand(subcommands: Sequence[Subcommand], arguments: argparse.Namespace) -> Report:
    """Do what was named. Raises what the inner command raises."""
    return {subcommand.NAME: subcommand for subcommand in subcommands}[arguments.subcommand].run(arguments)


def add_json_option(parser: argparse.ArgumentParser, *, default: Any = None) -> None:
    """Declare `--json`, which every command has."""
    parser.add_argument(
        "--json", type=writable_file, metavar="FILE", default=default, help="also write the report to FILE"
    )
