"""An emulator of the UPMEM processing-in-memory machine: host API, DPU kernels in Python, and a clock.

from pim_runtime import DpuProgram, DpuSet          the Pythonic surface
from pim_runtime.api import dpu_alloc, dpu_launch   the SDK's C names
from pim_runtime.device import *                    what kernels call
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
