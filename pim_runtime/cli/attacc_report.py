"""What the reports of `pim attacc` share: a system, time and energy by class, what the public simulator gave."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .output import Column, Section, Table, Value

if TYPE_CHECKING:
    from host.attacc.energy import Energy
    from host.attacc.slo_grid import Point
    from host.attacc.systems import HeteroSystem
    from host.machines.cost import Cost

__all__ = ["CPU_NOTE", "GIB", "MS", "SIMULATOR", "class_ms", "energy_table", "public_step_ms", "system_section"]

MS, GIB = 1e3, 2**30
SIMULATOR = "public AttAcc simulator"
CPU_NOTE = (
    "The two CPUs of dgx-cpu are as fast as if each GPU had one, as the public simulator counts them; their energy is "
    "unknown."
)
PUBLIC_MODEL = "gpt3-175b"
PUBLIC_SYSTEMS = {"dgx+attacc": "attacc"}
PUBLIC_CLASSES = {"attention": "attn", "FC": "fc", "communication": "comm", "norm, activation": "etc"}
ENERGY_FIELDS = {
    "memory_j": "cells and their way",
    "link_j": "buses and links",
    "on_chip_j": "caches, registers",
    "arithmetic_j": "arithmetic",
}


def system_section(system: HeteroSystem, context: int) -> Section:
    """What the system is, and how many requests of a context it holds."""
    from host.llm.parameters import kv_bytes_per_token, weight_bytes

    weights = weight_bytes(system.model, system.quant, "layers")
    kv_bytes = context * kv_bytes_per_token(system.model, system.quant)
    own_bytes = system.attention.total_bytes
    values = (
        Value(name="system", value=system.name, origin="exact"),
        Value(name="GPUs", value=system.server.gpus.count, origin="published", source=f"profile {system.server.name}"),
        Value(name="attention", value=_where(system), origin="published"),
        Value(name="schedule", value=system.schedule, origin="exact"),
        Value(name="feed-forward networks", value=system.ffn, origin="exact"),
        Value(
            name="memory", value=system.capacity_bytes / GIB, unit="GiB", origin="published", source="of all devices"
        ),
        Value(name="weights", value=weights / GIB, unit="GiB", origin="exact", source="matrices of the layers"),
        Value(
            name="K and V of a request",
            value=kv_bytes / GIB,
            unit="GiB",
            origin="exact",
            source=f"{context:,} tokens; {kv_bytes / 1e9:.4g} GB, E1-1",
        ),
        Value(
            name="requests that fit", value=system.most_requests(context), origin="exact", source="beside the weights"
        ),
        *(() if not own_bytes else (_own_memory(own_bytes, kv_bytes),)),
    )
    return Section(title="System", values=values)


def _where(system: HeteroSystem) -> str:
    from host.attacc.attention_devices import CpuAttention
    from host.attacc.pim_attention import PimAttention

    match system.attention:
        case PimAttention(pim=pim):
            return f"profile {pim.name}"
        case CpuAttention(cpus=cpus):
            return f"profile {cpus.name}"
        case _:
            return "on the GPUs"


def _own_memory(own_bytes: int, kv_bytes: int) -> Value:
    """Attention reads K and V where it is computed, though all memory is counted together."""
    return Value(
        name="of which attention's memory holds",
        value=own_bytes // kv_bytes,
        origin="exact",
        source=f"{own_bytes / GIB:,.0f} GiB; memory is counted together, as the public simulator does",
    )


def class_ms(cost: Cost) -> dict[str, float]:
    """Milliseconds of each class of parts. What halves of a batch hide of each other is taken off: "overlapped"."""
    from host.attacc.classes import seconds_by_class

    times: dict[str, float] = {name: MS * seconds for name, seconds in seconds_by_class(cost).items()}
    hidden = MS * cost.seconds - sum(times.values())
    return {**times, "overlapped": hidden} if hidden < -1e-9 * MS * cost.seconds else times


def energy_table(energies: Mapping[str, Energy], batch: int) -> Table:
    """Joules per token by class of parts and by where they go."""
    from host.attacc.classes import energy_by_class
    from host.attacc.energy import total

    by_class = energy_by_class(energies)
    named: list[tuple[str, Energy]] = [*by_class.items(), ("all", total(list(by_class.values())))]
    rows = tuple(
        (name, *(getattr(energy, field) / batch for field in ENERGY_FIELDS), energy.joules / batch)
        for name, energy in named
    )
    return Table(
        title="Energy of a token, of the mean step",
        columns=(
            Column(name="parts"),
            *(Column(name=what, unit="J", origin="modelled") for what in ENERGY_FIELDS.values()),
            Column(name="all", unit="J", origin="modelled"),
        ),
        rows=rows,
    )


def public_step_ms(system: HeteroSystem, point: Point, batch: int) -> dict[str, float]:
    """What the public simulator gave for this mean step, by class and as "all"; empty where it was not asked."""
    from host.attacc.pim_attention import PimAttention
    from host.claims.registry import load_registry

    pim = isinstance(system.attention, PimAttention)
    if system.model.name != PUBLIC_MODEL or (
        isinstance(system.attention, PimAttention) and not _public(system.attention)
    ):
        return {}
    asked: dict[str, Any] = {
        "lin": point.prompt,
        "lout": point.new_tokens,
        "batch": batch,
        "system": PUBLIC_SYSTEMS.get(system.name, system.name),
        "bits": system.quant.weight_bits,
        "schedule": system.schedule if pim else None,
        "ffn_coproc": system.ffn == "coprocessed",
    }
    unstated = {"bits": 16, "schedule": None, "ffn_coproc": False}
    for entry in load_registry().golden["attacc_iteration_ms"]:
        if all(entry.get(name, unstated.get(name)) == value for name, value in asked.items()):
            times = {name: entry[key] for name, key in PUBLIC_CLASSES.items() if key in entry}
            return {**times, "all": entry["total"]}
    return {}


def _public(attention: Any) -> bool:
    return attention.pim.name == "attacc-bank" and attention.reuse_rows == 1
