"""What the parts of a layer take when GPUs and the device that computes attention work at the same time (S1-11, U-7).

Owns the rules. Each gives seconds that remain beside what overlaps: they add up to the time of the whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from host.machines.cost import Bound

__all__ = ["RULES", "BlockSeconds", "FfnPlace", "Schedule", "batch_level_s", "coprocessed_s", "exposed"]

Schedule = Literal["sequential", "attention_level", "head_level", "batch_level"]
FfnPlace = Literal["gpu", "coprocessed"]
"""Where the feed-forward products are computed: on the GPUs, or shared with the memory that computes attention."""

RULES: dict[Schedule, str] = {
    "sequential": "",
    "attention_level": "softmax and transfers of a head beside the products of another head",
    "head_level": "qkv, projection and transfers of a head beside the attention of another head",
    "batch_level": "GPUs on one half of the batch while attention of the other half is computed",
}
QKV_SHARE = 3 / 4  # of what attention hides of qkv and projection, three of their four matrices


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockSeconds:
    """Seconds of the attention block of a layer: products with weights, transfers of both ways, attention itself."""

    qkv: float
    projection: float
    transfer: float
    gemv: float
    softmax: float

    @property
    def attention(self) -> float:
        """Products with K and V, and softmax."""
        return self.gemv + self.softmax

    @property
    def seconds(self) -> float:
        """One after the other."""
        return self.qkv + self.projection + self.transfer + self.gemv + self.softmax


def exposed(schedule: Schedule, busy: BlockSeconds, *, head_share: float) -> BlockSeconds:
    """What remains of each part.

    head_share: of one head among those of a device (r = tp / N_h); that much of the hidden part comes before the first
    or after the last head. Raises ValueError for batch_level, which overlaps whole layers.
    """
    if schedule == "sequential":
        return busy
    if schedule == "batch_level":
        raise ValueError("batch_level overlaps the layers of two halves of a batch, not the parts of one")
    attention = busy.attention
    hidden = attention * (1 - head_share)
    fc, transfer = busy.qkv + busy.projection, busy.transfer
    if schedule == "attention_level":
        transfer = head_share * transfer if attention > transfer else transfer - hidden
        return BlockSeconds(qkv=busy.qkv, projection=busy.projection, transfer=transfer, gemv=busy.gemv, softmax=0.0)
    if attention > fc:
        transfer = head_share * transfer if attention > transfer else transfer - hidden
    elif fc > transfer:
        qkv_hidden = _within(QKV_SHARE * hidden, hidden - busy.projection, busy.qkv)
        return BlockSeconds(
            qkv=busy.qkv - qkv_hidden,
            projection=busy.projection - (hidden - qkv_hidden),
            transfer=head_share * transfer,
            gemv=busy.gemv,
            softmax=0.0,
        )
    else:
        transfer = transfer - hidden
    return BlockSeconds(
        qkv=head_share * busy.qkv,
        projection=head_share * busy.projection,
        transfer=transfer,
        gemv=busy.gemv,
        softmax=0.0,
    )


def batch_level_s(gpus_s: float, attention_s: float) -> float:
    """A layer of both halves, when the larger half takes so long on the GPUs, and so long for attention."""
    return 2 * max(gpus_s, attention_s)


def coprocessed_s(
    seconds: float,
    bound: Bound,
    *,
    gpu_bytes_per_s: float,
    pim_bytes_per_s: float,
    gpu_flops_per_s: float,
    pim_flops_per_s: float,
    batch: int,
) -> float:
    """A feed-forward product that takes `seconds` on GPUs, shared with memory that reads weights once per request."""
    if bound == "compute":
        return seconds * gpu_flops_per_s / (gpu_flops_per_s + pim_flops_per_s)
    return seconds * gpu_bytes_per_s / (gpu_bytes_per_s + pim_bytes_per_s / batch)


def _within(value: float, least: float, most: float) -> float:
    return min(max(value, least), most)
