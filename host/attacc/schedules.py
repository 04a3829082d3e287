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
QKV_SHARE = 3 / 4  # of what attention hides of qkv and projection when these take longer: three of four matrices


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

    head_share: of one head among those of a device (r = tp / N_h); that much of a part comes before the first or after
    the last head, and overlaps nothing. Softmax, which is beside products, counts as attention where it hides others,
    but attention hides no more than its products take. Raises ValueError for batch_level, which overlaps whole layers.
    """
    if schedule == "sequential":
        return busy
    if schedule == "batch_level":
        raise ValueError("batch_level overlaps the layers of two halves of a batch, not the parts of one")
    inner = 1 - head_share
    attention, fc, transfer = busy.attention, busy.qkv + busy.projection, busy.transfer
    fc_hidden, transfer_hidden = 0.0, min(inner * min(attention, transfer), busy.gemv)
    qkv_share = busy.qkv / fc if fc else 0.0
    if schedule == "head_level":
        if attention > fc:
            fc_hidden = min(inner * fc, busy.gemv)
        elif fc > transfer:
            fc_hidden, transfer_hidden = min(inner * attention, busy.gemv), inner * transfer
            qkv_share = QKV_SHARE
        else:
            fc_hidden = inner * fc
    qkv_hidden = min(max(qkv_share * fc_hidden, fc_hidden - busy.projection), busy.qkv)
    return BlockSeconds(
        qkv=busy.qkv - qkv_hidden,
        projection=busy.projection - (fc_hidden - qkv_hidden),
        transfer=transfer - transfer_hidden,
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
