"""Instruction slots that the attention program states for its loops, until the compiler counts them.

Loop counts are those of the published kernel's compiled form (timing-model 4.3 and 10.2), which has wrapping `div_d`
only; those of wide accumulators and softmax are estimated from it. Multiplies depend on the data: their cost is
averaged over the operands of one head, with q taken to be distributed like k.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from dpu_kernels.attention import Accumulation, Norm
from pim_runtime.device import IntegerType

from .reference import div_d, scores, softmax_weights
from .spec import AttentionSpec
from .zscore import zscore_constants, zscore_weights

__all__ = ["StatedSlots", "state_slots"]

SAMPLE_TOKENS = 64
# Slots beside the multiply (timing-model 4.3): two addresses, two loads, add, two of loop; axpy also stores.
DOT_SLOTS, AXPY_SLOTS = 7, 8
CALL_SLOTS = {"dot": 0, "axpy": 1}  # argument moves of a called multiply
LONG_ADD_SLOTS = 1  # a 64-bit add takes one slot more (timing-model 4.1, rule 6)
ROW_SLOTS = {8: 30, 16: 30, 32: 48}  # calls, address, saves per vector (timing-model 10.2)
MUL64_SLOTS = 129  # timing-model 3.2
# Per score. div_d: from the 0.13-0.16 ms that the published tables leave for 4096 scores (timing-model 10.2). Others
# are estimated: softmax (K-6) has one 64-bit and one 32-bit multiply, two loads and about 30 ALU slots, zscore (K-5)
# a 64-bit multiply in each of two passes and about 20 ALU slots.
NORM_SLOTS: Mapping[Norm, int] = MappingProxyType(
    {"div_d": 12, "zscore": 2 * MUL64_SLOTS + 20, "zscore_linear": 0, "softmax": 170, "softmax_online": 170}
)
STATISTICS_SLOTS = 3 * MUL64_SLOTS + 20  # of a z-score: sums of squares in three limbs, least and greatest
UNPACK_SLOTS = 3  # per nibble: mask or shift, exclusive or, subtract


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedSlots:
    """Slots per score (dot product of a row), per normalised score, per weighted row, and per merged partial output."""

    score: int
    norm: int
    weighted_row: int
    merged_row: int


def state_slots(spec: AttentionSpec, *, k: NDArray[np.signedinteger], v: NDArray[np.signedinteger]) -> StatedSlots:
    """Slots for a head with integer rows k and v, [tokens, dim]."""
    k, v = k[:SAMPLE_TOKENS], v[:SAMPLE_TOKENS]
    kind, acc, dim, q = spec.storage.kind, spec.acc, k.shape[1], k[-1]
    sample = scores(q, k, acc=acc)
    weights = _weights(spec, sample)
    wide_score, wide_sum = acc == "wide" and kind.bits > 8, acc == "wide"
    dot_bits, axpy_bits = _multiply_bits(kind, acc)
    dot = DOT_SLOTS + LONG_ADD_SLOTS * wide_score + _multiply_slots(q[None, :], k, dot_bits, "dot")
    add = AXPY_SLOTS + LONG_ADD_SLOTS * wide_sum
    axpy = add + _multiply_slots(weights[:, None], v, axpy_bits, "axpy")
    # The published program merges with its scaled add, and multiplies by 1; wide outputs are merged by adding.
    merge = add if acc == "wide" else axpy
    row_slots = ROW_SLOTS[kind.bits] + dim * UNPACK_SLOTS * (spec.dtype == "int4")
    return StatedSlots(
        score=round(dim * dot) + row_slots + STATISTICS_SLOTS * spec.norm.startswith("zscore"),
        norm=NORM_SLOTS[spec.norm],
        weighted_row=round(dim * axpy) + row_slots,
        merged_row=round(dim * merge) + ROW_SLOTS[kind.bits],
    )


def _weights(spec: AttentionSpec, sample: NDArray[np.signedinteger]) -> NDArray[np.signedinteger]:
    """What multiplies V."""
    if spec.norm == "div_d":
        return div_d(sample, spec.dim)
    if spec.norm == "zscore_linear":
        return sample
    if spec.norm == "zscore":
        return zscore_weights(sample, zscore_constants(sample))
    return softmax_weights(sample, spec.plans[0])


def _multiply_bits(kind: IntegerType, acc: Accumulation) -> tuple[int, int]:
    """Width of the multiplies of scores and of weighted rows: that of the operands, or of a product that must not wrap.

    Wide: q * k of int16 fits 32 bits, of int32 it does not; weight * v fits 32 bits for int8 only (K-1).
    """
    if acc == "wrap":
        return kind.bits, kind.bits
    return {8: (8, 32), 16: (16, 64), 32: (64, 64)}[kind.bits]


def _multiply_slots(a: NDArray[np.signedinteger], b: NDArray[np.signedinteger], bits: int, loop: str) -> float:
    """Mean slots of a * b on a DPU (timing-model 3.2)."""
    if bits == 8:
        return 1.0
    if bits == 64:
        return float(MUL64_SLOTS)
    a, b = np.broadcast_arrays(a.astype(np.int64), b.astype(np.int64))
    if bits == 16:
        short = (a >= 0) & (a < 256) & (b >= 0) & (b < 256)
        return float(np.where(short, 1, 7).mean())
    smaller = np.minimum(a & 0xFFFF_FFFF, b & 0xFFFF_FFFF)  # compared as unsigned patterns
    steps = np.maximum(1, np.ceil(np.log2(smaller + 1.0)))
    return float(7 + steps.mean()) + CALL_SLOTS[loop]
