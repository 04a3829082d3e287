"""The enumerations of `dpu.h`, with their values: what programs pass to the functions of api.py."""

from __future__ import annotations

import enum

__all__ = ["DpuCheckpointFlags", "DpuLaunchPolicy", "DpuXfer", "DpuXferFlags"]


class DpuLaunchPolicy(enum.IntEnum):
    """`dpu_launch_policy_t`."""

    DPU_ASYNCHRONOUS = 0
    DPU_SYNCHRONOUS = 1


class DpuXfer(enum.IntEnum):
    """`dpu_xfer_t`: direction of a transfer."""

    DPU_XFER_TO_DPU = 0
    DPU_XFER_FROM_DPU = 1


class DpuXferFlags(enum.IntFlag):
    """`dpu_xfer_flags_t`."""

    DPU_XFER_DEFAULT = 0
    DPU_XFER_NO_RESET = 1
    DPU_XFER_ASYNC = 2
    DPU_XFER_PARALLEL = 4


class DpuCheckpointFlags(enum.IntFlag):
    """`dpu_checkpoint_flags_t`: what a context holds."""

    DPU_CHECKPOINT_NONE = 0
    DPU_CHECKPOINT_INTERNAL = 1
    DPU_CHECKPOINT_IRAM = 2
    DPU_CHECKPOINT_MRAM = 8
    DPU_CHECKPOINT_WRAM = 0x10
    DPU_CHECKPOINT_ALL = DPU_CHECKPOINT_INTERNAL | DPU_CHECKPOINT_IRAM | DPU_CHECKPOINT_MRAM | DPU_CHECKPOINT_WRAM
