"""Cases for the checks of integer softmax, on the host and on DPUs, and the terms of their bounds.

Owns which scores, logit scales and plans are tried, and how an error is measured against what a claim allows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dpu_kernels.attention import Exponential
from host.attention.exponential import RELATIVE_ERROR
from host.attention.partition import Partition
from host.attention.reference import float_softmax, scores
from host.attention.softmax_plan import SoftmaxPlan, softmax_plan
from host.attention.sums import SoftmaxSums

from .evidence import answers_of_parts, wide_spec
from .inventory import operand_inventory, score_inventory

__all__ = [
    "FLOAT64_SLACK",
    "PROBABILITY_BITS",
    "PUBLISHED_TOKENS",
    "RESCALING_BITS",
    "DeviceRun",
    "SoftmaxCase",
    "device_runs",
    "online_cases",
    "rho",
    "share_of_range",
    "softmax_cases",
    "vanishing_tokens",
]

Floats = NDArray[np.float64]

PROBABILITY_BITS = (15, 16, 20, 24, 28, 30)
LARGEST_LOGITS = (2.0**-20, 1.0, 12.0, 2.0**30)  # of tiny, usual, peaked and huge logit scales
FLOAT64_SLACK = 1e-12  # of the largest value
PUBLISHED_TOKENS = 4096
RESCALING_BITS = 30
DEVICE_DIM = 24
DEVICE_LOGITS = (1.0, 12.0, 2.0**10)  # of the largest score that operands can have


class SoftmaxCase(NamedTuple):
    """Scores int64 [rows, tokens] and v [tokens, columns] with the plan for logits `logit_scale` * score."""

    scores: NDArray[np.int64]
    v: NDArray[np.int64]
    logit_scale: float
    plan: SoftmaxPlan

    @property
    def real(self) -> Floats:
        """Softmax attention in float64, [rows, columns]."""
        return float_softmax(self.scores, self.v, logit_scale=self.logit_scale)

    @property
    def value_range(self) -> Floats:
        """R_v, [columns]."""
        return np.ptp(self.v, axis=0).astype(np.float64)

    def shares(self, outputs: Floats, allowed: Floats, *, rounding: ArrayLike = 0.0) -> Floats:
        """error / bound, [rows, columns], of outputs that may be off by `allowed` [rows] times R_v plus `rounding`."""
        bound = allowed[:, None] * self.value_range + np.reshape(rounding, (-1, 1)) + self.float64_slack
        return np.abs(outputs - self.real) / bound

    @property
    def float64_slack(self) -> float:
        """Rounding of the float64 references."""
        return FLOAT64_SLACK * max(1.0, float(np.abs(self.v).max()))


class DeviceRun(NamedTuple):
    """A head that ran on DPUs: its case with the plan that merges parts, and sums of the parts, [parts, 1, ...]."""

    case: SoftmaxCase
    sums: SoftmaxSums


def softmax_cases(
    probability_bits: tuple[int, ...], *, octaves: int | None = None, exponential: Exponential = "lut256_lerp"
) -> Iterator[SoftmaxCase]:
    """The inventory of scores with plans of these probability bits, for every logit scale."""
    for inventory in score_inventory():
        for bits, logit in product(probability_bits, LARGEST_LOGITS):
            scale = logit / inventory.largest
            plan = softmax_plan(
                logit_scale=scale,
                score_bound=inventory.largest,
                probability_bits=bits,
                octaves=octaves,
                exponential=exponential,
            )
            yield SoftmaxCase(scores=inventory.scores, v=inventory.v, logit_scale=scale, plan=plan)


def vanishing_tokens() -> Iterator[SoftmaxCase]:
    """One token holds the weight, 4095 others fall just short of half a unit and vanish: nearly the worst case."""
    for bits in PROBABILITY_BITS:
        octave, just_more = 2**20, 2**10
        scores = np.full((1, PUBLISHED_TOKENS), -octave - just_more)
        scores[0, 0] = 0
        v = np.ones((PUBLISHED_TOKENS, 1), np.int64)
        v[0] = 0
        scale = math.log(2) * (bits + 1) / octave
        plan = softmax_plan(logit_scale=scale, score_bound=octave + just_more, probability_bits=bits)
        yield SoftmaxCase(scores=scores, v=v, logit_scale=scale, plan=plan)


def online_cases() -> Iterator[SoftmaxCase]:
    """Of the inventory, what int32 keys hold and a loop over tokens can afford."""
    for case in softmax_cases((16, 24), octaves=RESCALING_BITS):
        if len(case.v) <= 200 and np.abs(case.scores).max() < 2**22:
            yield case


def device_runs(partition: Partition) -> Iterator[DeviceRun]:
    """Heads of int8 operands on DPUs, one per pattern of the inventory."""
    for tokens, logit in product((1, 2, 17, 200), DEVICE_LOGITS):
        operands = operand_inventory("int8", tokens=tokens, dim=DEVICE_DIM, lowest=-128, highest=127)
        spec = wide_spec(operands, "softmax", logit_scales=(logit / (DEVICE_DIM * 2**14),))
        found = answers_of_parts(operands, spec, partition)
        assert isinstance(found, SoftmaxSums)
        (all_scores,) = scores(operands.q, operands.k, acc="wide").astype(np.int64)
        for head, (row, plan) in enumerate(zip(all_scores, spec.merging_plans, strict=True)):
            v = operands.v[0, head].astype(np.int64)
            case = SoftmaxCase(scores=row[None], v=v, logit_scale=spec.logit_scale(head), plan=plan)
            sums = found.maximum[:, :, head], found.weight_sum[:, :, head], found.weighted_values[:, :, head]
            yield DeviceRun(case, SoftmaxSums(*sums))


def rho(bits: int, exponential: Exponential = "lut256_lerp") -> float:
    """rho(P), the relative error of one weight in Q(P) (B-3)."""
    return RELATIVE_ERROR[exponential] + math.log(2) * (2.0**-17 + (bits + 2) * 2.0**-30)


def share_of_range(case: SoftmaxCase, weight_sum: ArrayLike) -> Floats:
    """B-3 without R_v: rho + L * 2**-(P + 1) / l_hat, where l = l_hat * 2**P."""
    relative_error = rho(case.plan.probability_bits, case.plan.exponential)
    return relative_error + len(case.v) / (2 * np.asarray(weight_sum, dtype=np.float64))
