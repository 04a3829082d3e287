"""Every machine that a plan can be made for, by name, and the ways to use it.

Owns which kind of machine a name is of.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import cast, get_args

from dpu_kernels.attention import Norm
from host.attacc.systems import SystemName
from host.llm.model import ModelConfig
from host.llm.quantisation import QuantConfig
from host.machines.bank_chip import bank_chips
from host.machines.chip_memory import ChipMemory
from host.machines.dpu_server import DpuServer, dpu_works
from host.machines.gpus import gpu_servers
from host.machines.near_memory import NearMemory
from pim_runtime.hardware import Hardware, available_profiles, hardware_profiles, load_profile

from .gpu_variants import gpu_server_variants, system_variants
from .memory_variants import memory_variants
from .plan import PlanError
from .variant import Scope, Variant

__all__ = ["Query", "hardware_names", "variants"]

PRODUCTS = "gemv"


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What is to be served: a model, its bits, tokens of a context, and how much of a step the machine does.

    norms: of the attention kernels on DPUs, each a variant of its own; other machines do a softmax.
    """

    model: ModelConfig
    quant: QuantConfig
    context: int
    scope: Scope = "model"
    norms: tuple[Norm, ...] = ("softmax",)


def hardware_names() -> Mapping[str, tuple[str, ...]]:
    """Names of machines, by kind."""
    return {
        "servers of DPUs": tuple(available_profiles()),
        "chips of banks": tuple(bank_chips().available()),
        "systems of document 1": get_args(SystemName),
        "servers of GPUs": tuple(gpu_servers().available()),
    }


def variants(hardware: str, query: Query) -> Iterator[Variant]:
    """Every way to use a machine, by its name or the .toml file of a profile.

    Raises PlanError for a name that no machine has, and for attention on GPUs alone; ProfileError for a file.
    """
    model, quant, context = query.model, query.quant, query.context
    if bank_chips().describes(hardware):
        return _memory_variants(ChipMemory(bank_chips().load(hardware)), query)
    if hardware_profiles().describes(hardware):
        return _dpu_variants(load_profile(hardware), query)
    is_system = hardware in get_args(SystemName)
    if not is_system and not gpu_servers().describes(hardware):
        known = "; ".join(f"{kind}: {', '.join(names)}" for kind, names in hardware_names().items())
        raise PlanError(f"no machine {hardware!r}. There are {known}; or give the .toml file of one")
    if query.scope == "attention":
        raise PlanError(
            f"{hardware} with scope attention: its weights and caches share the memory of GPUs. Take scope model"
        )
    if is_system:
        return system_variants(cast(SystemName, hardware), model, quant, context=context)
    return gpu_server_variants(hardware, model, quant, context=context)


def _memory_variants(machine: NearMemory, query: Query) -> Iterator[Variant]:
    return memory_variants(machine, query.model, query.quant, context=query.context, scope=query.scope)


def _dpu_variants(machine: Hardware, query: Query) -> Iterator[Variant]:
    """With the kernel of each norm in turn."""
    works = dpu_works()
    products = works.load(PRODUCTS)
    for norm in query.norms:
        server = DpuServer(machine, products, works.load(norm.replace("_", "-")))
        for variant in _memory_variants(server, query):
            yield replace(variant, choices={**variant.choices, "norm": norm})
