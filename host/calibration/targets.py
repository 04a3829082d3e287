"""How close the clock must come to the published numbers, group by group."""

from __future__ import annotations

from dataclasses import dataclass

from dpu_kernels.calibration import Counts

from .errors import GroupErrors

__all__ = ["ATTENTION_TARGET", "TARGET_TASKLETS", "TRANSFER_TARGET", "Target", "kernel_target"]

TARGET_TASKLETS = 16  # fewer leave the pipeline partly idle, where the closed form is known to be less exact


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Largest mean and largest single error that are accepted; None where there is no limit."""

    mean: float | None = None
    worst: float | None = None

    def is_met(self, errors: GroupErrors) -> bool:
        within_mean = self.mean is None or errors.mean <= self.mean
        return within_mean and (self.worst is None or errors.worst_error <= self.worst)

    def __str__(self) -> str:
        limits = (("mean", self.mean), ("worst", self.worst))
        return ", ".join(f"{name} {100 * limit:g} %" for name, limit in limits if limit is not None)


TRANSFER_TARGET = Target(mean=0.10)
ATTENTION_TARGET = Target(worst=0.05)


def kernel_target(counts: Counts) -> Target:
    """For one of the kernels at TARGET_TASKLETS tasklets."""
    return {"automatic": Target(mean=0.06, worst=0.15), "listing": Target(mean=0.02)}[counts]
