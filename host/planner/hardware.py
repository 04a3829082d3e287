"""Every machine that a plan can be made for, by name, and the ways to use it.

Owns which kind of machine a name is of.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dpu_kernels.attention import Norm
from host.llm.model import ModelConfig
from host.llm.quantisation import QuantConfig
from host.machines.bank_chip import bank_chips
from host.machines.chip_memory import ChipMemory
from host.machines.dpu_server import DpuServer, dpu_works
from host.machines.near_memory import NearMemory
from pim_runtime.hardware import available_profiles, load_profile

from .memory_variants import memory_variants
from .plan import PlanError
from .variant import Scope, Variant

__all__ = ["Query", "hardware_names", "variants"]

PRODUCTS = "div-d"  # its dot products and scaled additions are those of a matrix and a vector


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What is to be served: a model, its bits, tokens of a context, and how much of a step the machine does.

    norm: of the attention kernel on DPUs; other machines do a softmax.
    """

    model: ModelConfig
    quant: QuantConfig
    context: int
    scope: Scope = "model"
    norm: Norm = "softmax"


def hardware_names() -> Mapping[str, tuple[str, ...]]:
    """Names of machines, by kind."""
    return {
        "servers of DPUs": tuple(available_profiles()),
        "chips of banks": tuple(bank_chips().available()),
    }


def variants(hardware: str, query: Query) -> Iterator[Variant]:
    """Every way to use a machine. Raises PlanError for a name that no machine has."""
    return memory_variants(
        _memory(hardware, query.norm), query.model, query.quant, context=query.context, scope=query.scope
    )


def _memory(hardware: str, norm: Norm) -> NearMemory:
    if hardware in bank_chips().available():
        return ChipMemory(bank_chips().load(hardware))
    if hardware in available_profiles():
        works = dpu_works()
        return DpuServer(load_profile(hardware), works.load(PRODUCTS), works.load(norm.replace("_", "-")))
    known = "; ".join(f"{kind}: {', '.join(names)}" for kind, names in hardware_names().items())
    raise PlanError(f"no machine {hardware!r}. There are {known}")
