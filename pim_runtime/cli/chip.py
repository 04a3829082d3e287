"""`pim chip`: document 2's chip for LLaMA-7B, or for any model: how fast it is, what fits, how large it has to be."""

from __future__ import annotations

import argparse

from . import chip_decode, chip_max_context, chip_size, chip_sweep, chip_table
from .output import Report
from .subcommands import Subcommand, add_subcommands, run_subcommand

__all__ = ["HELP", "NAME", "add_arguments", "run"]

NAME = "chip"
HELP = "a PIM chip for LLaMA-7B: time of a token, capacity, sizes, sweeps, and a toy that decodes"

SUBCOMMANDS: tuple[Subcommand, ...] = (chip_table, chip_max_context, chip_size, chip_sweep, chip_decode)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The inner commands."""
    add_subcommands(parser, SUBCOMMANDS)


def run(arguments: argparse.Namespace) -> Report:
    """Do what was named. Raises PimError, ValueError or OSError for what cannot be done."""
    return run_subcommand(SUBCOMMANDS, arguments)
