"""Every folder of profiles of machines that are no server of DPUs, for those who list what ships."""

from __future__ import annotations

from typing import Any

from pim_runtime.hardware.profile_files import ProfileFolder

from .bank_chip import bank_chips
from .cpus import cpu_servers
from .dpu_server import dpu_works
from .gpus import gpu_servers
from .hbm_pim import hbm_pims
from .sprint_chip import sprint_chips

__all__ = ["machine_folders"]


def machine_folders() -> tuple[ProfileFolder[Any], ...]:
    """The folders, in the order of a list."""
    return (bank_chips(), dpu_works(), hbm_pims(), sprint_chips(), gpu_servers(), cpu_servers())
