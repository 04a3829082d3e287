"""An emulator of the UPMEM processing-in-memory machine: host API, DPU kernels in Python, and a clock.

from pim_runtime import DpuProgram, DpuSet          the Pythonic surface
from pim_runtime.api import dpu_alloc, dpu_launch   the SDK's C names
from pim_runtime.device import *                    what kernels call
from pim_runtime.debugging import memory, values    what a debugger may look at in a kernel

A program is a DpuProgram (dpu_program makes families of them), a symbol of it a DpuSymbol. A DpuSet is allocated from a
Machine (default_machine, or one with the hardware of load_profile). EngineOptions say how its kernels run, where they
stop (Breakpoint) and how long they may take; Check what else to look for in every launch. DpuContext is a saved state.
All errors are PimErrors, those that the SDK has, too, are DpuErrors; a launch in which DPUs fault raises DpuFaultError.
CheckWarning announces what a check has found, CacheWarning that compiled kernels cannot be kept.
"""

from __future__ import annotations

from .check import Check, CheckWarning
from .checkpoint.context import DpuContext
from .dpuset import ALLOCATE_ALL, DpuSet
from .engine.breakpoints import Breakpoint
from .engine.protocol import EngineOptions
from .errors import CacheWarning, CheckpointError, DpuError, DpuFaultError, KernelError, LinkError, PimError
from .hardware import load_profile
from .machine import Machine, default_machine
from .program import DpuProgram, dpu_program
from .transfers import DpuSymbol

__all__ = [
    "ALLOCATE_ALL",
    "Breakpoint",
    "CacheWarning",
    "Check",
    "CheckWarning",
    "CheckpointError",
    "DpuContext",
    "DpuError",
    "DpuFaultError",
    "DpuProgram",
    "DpuSet",
    "DpuSymbol",
    "EngineOptions",
    "KernelError",
    "LinkError",
    "Machine",
    "PimError",
    "default_machine",
    "dpu_program",
    "load_profile",
]
