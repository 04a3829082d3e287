"""The largest batch that fits a memory and meets a limit on the time of a step, for any machine (S1-14, P-5)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from .capacity import MachineCapacityError

__all__ = ["BatchChoice", "largest_batch"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchChoice:
    """A batch, what its slowest step takes, and what kept it from being larger.

    slo_violated: no batch meets the SLO; `batch` is 1, a fallback that does not meet it either.
    """

    batch: int
    step_s: float
    slo_violated: bool
    limited_by: Literal["capacity", "SLO"]


def largest_batch(
    step_s: Callable[[int], float],
    *,
    fits: int,
    slo_s: float | None,
    what: str,
    least_s: Callable[[int], float] = lambda batch: 0.0,
) -> BatchChoice:
    """Of the batches that fit, the largest whose step takes `slo_s` at most.

    Every batch is tried, from the largest down: how long a step takes need not grow with the batch, since products
    are cut into tiles. step_s: batch to seconds. least_s: a bound from below that never falls when the batch grows;
    batches where it exceeds the SLO need not be tried. what: the machine, named in messages.

    Raises ValueError for an SLO that is not positive, MachineCapacityError if not even one request fits.
    """
    if slo_s is not None and not slo_s > 0:
        raise ValueError(f"SLO of {slo_s} s: a limit on the time of a step must be positive")
    if fits < 1:
        raise MachineCapacityError(
            f"{what}: not even one request fits beside the weights. Take shorter contexts, fewer bits, or more memory."
        )
    if slo_s is None:
        return BatchChoice(batch=fits, step_s=step_s(fits), slo_violated=False, limited_by="capacity")
    most = bisect_right(range(1, fits + 1), slo_s, key=least_s)
    for batch in range(most, 0, -1):
        seconds = step_s(batch)
        if seconds <= slo_s:
            limited: Literal["capacity", "SLO"] = "capacity" if batch == fits else "SLO"
            return BatchChoice(batch=batch, step_s=seconds, slo_violated=False, limited_by=limited)
    return BatchChoice(batch=1, step_s=step_s(1), slo_violated=True, limited_by="SLO")
