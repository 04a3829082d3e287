"""What the data-dependent counters of DPUs are where nobody counted them: the mean of those that were counted.

A launch counts the data-dependent part of multiplies and divisions on some of its DPUs (timing="sample:N"). The others
are taken to need as much per operation, phase by phase; without any sample, what the profile assumes.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ..counters import VARIABLE_PARTS, Counter, LaunchCounters
from ..hardware import Hardware

__all__ = ["completed_patterns"]

SCALE_BITS = 20  # of the means: counts below 2^43 / 47 stay exact in 64 bits


def completed_patterns(counters: LaunchCounters, hardware: Hardware) -> NDArray[np.int64]:
    """The patterns of a launch with every data-dependent counter filled in; the array of the counters itself if all
    were counted."""
    if counters.measured.all():
        return counters.patterns
    patterns, unknown = counters.patterns.copy(), ~counters.measured
    weight = np.bincount(counters.pattern_of, minlength=len(patterns)) * counters.measured
    for part, operations in VARIABLE_PARTS.items():
        done = patterns[..., list(operations)].sum(axis=3)
        done_in_sample = np.tensordot(weight, done.sum(axis=2), axes=1)
        part_in_sample = np.tensordot(weight, patterns[..., part].sum(axis=2), axes=1)
        ratios = _ratios(part_in_sample, done_in_sample, _assumed(part, hardware))
        patterns[unknown, ..., part] = (done[unknown] * ratios[:, None]) >> SCALE_BITS
    return patterns


def _ratios(parts: Sequence[int], operations: Sequence[int], assumed: Fraction) -> NDArray[np.int64]:
    """Part per operation of each phase as a fixed-point number: of the phase, else of the launch, else assumed."""
    of_launch = Fraction(int(sum(parts)), int(sum(operations))) if sum(operations) else assumed
    exact = [Fraction(int(p), int(n)) if n else of_launch for p, n in zip(parts, operations, strict=True)]
    return np.array([int(ratio * (1 << SCALE_BITS)) for ratio in exact], np.int64)


def _assumed(part: Counter, hardware: Hardware) -> Fraction:
    known = hardware.instructions
    return {
        Counter.MUL16_LONG: Fraction(known.assumed_mul16_long_percent, 100),
        Counter.MUL32_STEPS: Fraction(max(0, known.assumed_mul32_steps - 1)),
        Counter.DIV32_VARIABLE: Fraction(known.assumed_div32_slots),
        Counter.DIV64_STEPS: Fraction(known.assumed_div64_steps),
    }[part]
