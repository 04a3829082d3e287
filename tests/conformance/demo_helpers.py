"""The helper that demo.py imports."""

from __future__ import annotations

from pim_runtime.device import dpu_function

__all__ = ["weighted"]

WEIGHT = 3


@dpu_function
def weighted(x):
    """A number times its weight."""
    return WEIGHT * x
