"""What the data-dependent counters of DPUs are where nobody counted them: the mean of those that were counted.

A launch counts the data-dependent part of multiplies and divisions on some of its DPUs (timing="sample:N"). The others
are taken to need as much per operation, phase by phase; without any sample, what the profile assumes.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ..counters import VARIABLE_PARTS, Counter, LaunchCounters
from ..hardware import Hardware

__all__ = ["completed_patterns"]


def completed_patterns(counters: LaunchCounters, hardware: Hardware) -> NDArray[np.int64]:
    """The patterns of a launch with every data-dependent counter filled in, each rounded half up to a whole number.

    The array of the counters itself if all were counted.
    """
    if counters.measured.all():
        return counters.patterns
    patterns, unknown = counters.patterns.copy(), ~counters.measured
    weight = np.bincount(counters.pattern_of, minlength=len(patterns)) * counters.measured
    for part, operations in VARIABLE_PARTS.items():
        done = patterns[..., list(operations)].sum(axis=3)
        done_in_sample = np.tensordot(weight, done.sum(axis=2), axes=1)
        part_in_sample = np.tensordot(weight, patterns[..., part].sum(axis=2), axes=1)
        for phase, mean in enumerate(_means(part_in_sample, done_in_sample, _assumed(part, hardware))):
            patterns[unknown, phase, :, part] = _times(done[unknown, phase], mean)
    return patterns


def _means(parts: NDArray[np.int64], operations: NDArray[np.int64], assumed: Fraction) -> list[Fraction]:
    """Part per operation of each phase in the sample: of the phase, else of the launch, else what is assumed."""
    of_launch = Fraction(int(parts.sum()), int(operations.sum())) if operations.any() else assumed
    return [
        Fraction(part, done) if done else of_launch
        for part, done in zip(parts.tolist(), operations.tolist(), strict=True)
    ]


def _times(operations: NDArray[np.int64], mean: Fraction) -> NDArray[np.int64]:
    """In integers of any size: the sums over a large sample make denominators that 64 bits do not hold."""
    doubled = operations.astype(object) * (2 * mean.numerator)
    whole: NDArray[np.int64] = ((doubled + mean.denominator) // (2 * mean.denominator)).astype(np.int64)
    return whole


def _assumed(part: Counter, hardware: Hardware) -> Fraction:
    known = hardware.instructions
    return {
        Counter.MUL16_LONG: Fraction(known.assumed_mul16_long_percent, 100),
        Counter.MUL32_STEPS: Fraction(max(0, known.assumed_mul32_steps - 1)),
        Counter.DIV32_VARIABLE: Fraction(known.assumed_div32_slots),
        Counter.DIV64_STEPS: Fraction(known.assumed_div64_steps),
    }[part]
