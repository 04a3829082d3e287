"""One decode step on AttAcc devices: answers, what was executed, and what the closed forms state for the same sizes.

Owns the comparison of stream and closed form: S1-10 for the commands, S1-9 with S1-12 for the cycles. Both are priced
by `hbm_pim_times`: what the longest channel executed, and what a wave of heads should take.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from host.attention.sums import SoftmaxSums
from host.attention.workload import Workload
from host.llm.model import toy
from host.llm.operators import Step
from host.llm.quantisation import QuantConfig
from host.machines.hbm_pim import HbmPim

from ..attention_work import AttentionWork
from ..commands import CommandCounts, head_commands
from ..hbm_pim_times import gemv_s, product_cycles, waves
from ..pim_attention import PimAttention
from .activity import Activity, total_activity
from .commands import Mnemonic
from .device import AttaccDevice

__all__ = ["DeviceOutcome", "executed_cycles", "run_on_device"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DeviceOutcome:
    """What a step left.

    answers: [batch, heads, dim]. device: as it is afterwards. activities: by (stack, channel).
    stated: commands of all channels together, those that S1-10 counts.
    cycles: that the longest channel executed, without refreshes. seconds: with them; stated_s: by the closed form.
    """

    device: AttaccDevice
    answers: SoftmaxSums
    activities: Mapping[tuple[int, int], Activity]
    stated: Mapping[Mnemonic, int]
    cycles: int
    seconds: float
    stated_s: float

    @property
    def activity(self) -> Activity:
        """Of all channels together."""
        return total_activity(self.activities.values())

    @property
    def shares_as_stated(self) -> bool:
        """Whether the longest channel has as many query heads as the closed form gives it: then both times are equal.

        The closed form shares out query heads. A device computes them where the K and V that they share are stored.
        """
        spec, hardware, batch = self.device.spec, self.device.hardware, self.device.batch
        return waves(hardware, batch * spec.kv_heads) * spec.queries == waves(hardware, batch * spec.heads)


def run_on_device(
    workload: Workload, hardware: HbmPim, *, reuse_rows: int = 1, advance: Callable[[int], None] | None = None
) -> DeviceOutcome:
    """The first step of a workload; `advance` as in `AttaccDevice.decode`. Raises what AttaccDevice raises."""
    device = AttaccDevice(workload.spec, hardware, batch=workload.batch, reuse_rows=reuse_rows)
    device.load_kv(workload.k, workload.v)
    queries: NDArray[np.signedinteger] = np.ascontiguousarray(workload.queries[0])
    answers, activities = device.decode(queries, advance=advance)
    counts = head_commands(
        hardware.units, tokens=workload.tokens, dim=workload.spec.dim, element_bits=workload.spec.operands.bits
    )
    cycles = max(executed_cycles(hardware, activity) for activity in activities.values())
    return DeviceOutcome(
        device=device,
        answers=answers,
        activities=activities,
        stated=_stated_commands(device, counts),
        cycles=cycles,
        seconds=gemv_s(hardware, heads=1, cycles_per_head=cycles),
        stated_s=_stated_s(device),
    )


def executed_cycles(hardware: HbmPim, activity: Activity) -> int:
    """Cycles of what a channel executed, one command after the other, without refreshes."""
    moves = sum(activity.commands[mnemonic] for mnemonic in ("WR_GB", "MV_SB", "MV_GB"))
    return product_cycles(
        hardware.timing,
        macs=activity.multiplies.total(),
        row_openings=activity.row_openings.total(),
        moves=moves,
    ).total


def _stated_commands(device: AttaccDevice, counts: CommandCounts) -> dict[Mnemonic, int]:
    kv_heads = device.batch * device.spec.kv_heads
    queries, readings = device.batch * device.spec.heads, kv_heads * device.passes_per_kv_head
    return {
        "WR_GB": queries * counts.wr_gb,
        "MAC_AB": readings * counts.mac,
        "MV_SB": queries * counts.mv_sb,
        "SFM": queries * counts.sfm,
        "MV_GB": queries * counts.mv_gb,
    }


def _stated_s(device: AttaccDevice) -> float:
    """S1-9 and S1-12, as `HeteroSystem` prices them in a model with heads like these."""
    spec, bits = device.spec, device.spec.operands.bits
    work = AttentionWork.of(
        toy(heads=spec.heads, kv_heads=spec.kv_heads, dim=spec.dim, hidden=spec.heads * spec.dim),
        QuantConfig(bits, bits, bits),
        Step(batch=device.batch, context=device.tokens),
        "simple",
        "fixed",
    )
    return PimAttention(device.hardware, device.reuse_rows).seconds(work).gemv
