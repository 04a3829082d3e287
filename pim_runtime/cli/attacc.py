"""`pim attacc`: document 1's GPUs beside HBM that computes attention, in closed form and as a functional device."""

from __future__ import annotations

import argparse

from . import attacc_compare, attacc_fc, attacc_gqa, attacc_iterate, attacc_placement, attacc_run, attacc_slo
from .output import Report
from .subcommands import Subcommand, add_subcommands, run_subcommand

__all__ = ["HELP", "NAME", "add_arguments", "run"]

NAME = "attacc"
HELP = "GPUs beside HBM that computes attention: steps, batches under an SLO, placements, shared heads"

SUBCOMMANDS: tuple[Subcommand, ...] = (
    attacc_iterate,
    attacc_slo,
    attacc_compare,
    attacc_placement,
    attacc_gqa,
    attacc_fc,
    attacc_run,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The inner commands."""
    add_subcommands(parser, SUBCOMMANDS)


def run(arguments: argparse.Namespace) -> Report:
    """Do what was named. Raises PimError, ValueError or OSError for what cannot be done."""
    return run_subcommand(SUBCOMMANDS, arguments)
