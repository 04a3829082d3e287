"""How tests start a fresh Python: with this project and its test kernels on the path."""

from __future__ import annotations

import os
from pathlib import Path

import pim_runtime

__all__ = ["environment"]

TESTS = Path(__file__).parents[1]
PROJECT = Path(pim_runtime.__file__).parents[1]


def environment(**changes: object) -> dict[str, str]:
    """The environment of this process, with a few variables changed."""
    path = os.pathsep.join([str(PROJECT), str(TESTS), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path} | {name: str(value) for name, value in changes.items()}
