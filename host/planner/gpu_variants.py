"""Ways to use GPUs, alone and with HBM that computes attention: placements of its units, schedules, co-processing.

Enumerates what document 1 chooses from (S1-8, S1-11); a GPU server alone has one way.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import product
from typing import get_args

from host.attacc.attention_devices import GpuAttention
from host.attacc.schedules import FfnPlace, Schedule
from host.attacc.systems import HeteroSystem, SystemName, attacc_system
from host.llm.model import ModelConfig
from host.llm.quantisation import QuantConfig
from host.machines.gpus import gpu_servers
from host.machines.hbm_pim import hbm_pims

from .variant import Variant

__all__ = ["gpu_server_variants", "system_variants"]


def system_variants(name: SystemName, model: ModelConfig, quant: QuantConfig, *, context: int) -> Iterator[Variant]:
    """Every variant of a system of document 1, with `context` tokens of cache per request."""
    if name != "dgx+attacc":
        yield _variant(attacc_system(name, model, quant), {"schedule": "sequential"}, context)
        return
    for pim, schedule, ffn in product(hbm_pims().available(), get_args(Schedule), get_args(FfnPlace)):
        if schedule == "batch_level" and ffn != "gpu":
            continue  # attention keeps the PIM busy all the time
        system = attacc_system(name, model, quant, pim=pim, schedule=schedule, ffn=ffn)
        yield _variant(system, {"PIM": pim, "schedule": schedule, "feed-forward": ffn}, context)


def gpu_server_variants(name: str, model: ModelConfig, quant: QuantConfig, *, context: int) -> Iterator[Variant]:
    """The variant of a server of GPUs, which do everything."""
    server = gpu_servers().load(name)
    system = HeteroSystem(name=name, server=server, attention=GpuAttention(server), model=model, quant=quant)
    yield _variant(system, {"schedule": "sequential"}, context)


def _variant(system: HeteroSystem, choices: dict[str, str], context: int) -> Variant:
    return Variant(
        machine=system.name,
        choices=choices,
        smallest_batch=2 if system.schedule == "batch_level" else 1,
        largest_batch=partial(system.most_requests, context),
        price=partial(system.iteration, context=context),
        energy=system.energy_origin,
    )
