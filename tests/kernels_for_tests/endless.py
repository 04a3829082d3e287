"""A kernel that runs until it is stopped, if it is told to."""

from __future__ import annotations

from pim_runtime import DpuProgram
from pim_runtime.device import int64

__all__ = ["begun", "endless", "program"]

program = DpuProgram("endless", nr_tasklets=2)
endless = program.host("endless", int64)
begun = program.host("begun", int64)


@program.kernel
def run(t):
    """Count the tasklets that have begun, then loop as long as `endless` says so."""
    begun.store(t, begun.load(t) + 1)
    while endless.load(t) != 0:
        endless.store(t, 1)
