"""The checker: finds what neither hardware nor the rules of the run time notice, by running kernels on the side.

dpus = DpuSet(64, binary=program, check=Check())      every launch is checked
for finding in dpus.findings: print(finding)
"""

from __future__ import annotations

from .checker import Checker
from .finding import CheckWarning, Finding, Findings, Kind
from .options import Check
from .session import CheckSession, attach_checker, current_session
from .stack import StackUse

__all__ = [
    "Check",
    "CheckSession",
    "CheckWarning",
    "Checker",
    "Finding",
    "Findings",
    "Kind",
    "StackUse",
    "attach_checker",
    "current_session",
]
