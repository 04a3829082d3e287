"""`pim sprint`: document 4's sparse attention, decided in memory and computed exactly, as a chip and on DPUs."""

from __future__ import annotations

import argparse

from . import sprint_chips, sprint_compare, sprint_dpu, sprint_run, sprint_table
from .output import Report
from .subcommands import Subcommand, add_subcommands, run_subcommand

__all__ = ["HELP", "NAME", "add_arguments", "run"]

NAME = "sprint"
HELP = "sparse attention: keys pruned in memory, exact scores of the others, against dense attention and other methods"

SUBCOMMANDS: tuple[Subcommand, ...] = (sprint_run, sprint_chips, sprint_table, sprint_compare, sprint_dpu)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The inner commands."""
    add_subcommands(parser, SUBCOMMANDS)


def run(arguments: argparse.Namespace) -> Report:
    """Do what was named. Raises PimError, ValueError or OSError for what cannot be done."""
    return run_subcommand(SUBCOMMANDS, arguments)
