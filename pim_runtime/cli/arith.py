"""`pim arith`: the arithmetic of inference that document 3 does for OPT-175B, for any model."""

from __future__ import annotations

import argparse

from . import arith_operators, arith_roofline, arith_weights
from .output import Report
from .subcommands import Subcommand, add_subcommands, run_subcommand

__all__ = ["HELP", "NAME", "add_arguments", "run"]

NAME = "arith"
HELP = "weights, KV caches, rooflines and classes of operators of any model"

SUBCOMMANDS: tuple[Subcommand, ...] = (arith_weights, arith_roofline, arith_operators)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`weights`, `roofline` and `ops`, each with arguments of its own."""
    add_subcommands(parser, SUBCOMMANDS)


def run(arguments: argparse.Namespace) -> Report:
    """Compute what was named. Raises PimError, ValueError or OSError for what cannot be computed."""
    return run_subcommand(SUBCOMMANDS, arguments)
