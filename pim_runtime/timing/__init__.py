"""What a launch and a transfer would have taken on the hardware of a profile.

Pure functions from counts and a `Hardware` to cost parts: no memory, no clock, no state. The counts come from a run, so
the same run can be priced again under another profile.
"""

from __future__ import annotations

from .clock import Clock
from .cost import Cost
from .energy import EnergyRange, dpu_energy
from .kernel import dpu_kernel_cycles
from .launch import launch_costs, launch_start_ps
from .transfer import TransferMode, transfer_costs
from .work import LaunchWork, TransferWork, Work, price

__all__ = [
    "Clock",
    "Cost",
    "EnergyRange",
    "LaunchWork",
    "TransferMode",
    "TransferWork",
    "Work",
    "dpu_energy",
    "dpu_kernel_cycles",
    "launch_costs",
    "launch_start_ps",
    "price",
    "transfer_costs",
]
