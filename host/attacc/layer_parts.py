"""The parts of a layer of a system, apart from what overlaps: on its GPUs, over its links, shared with PIM (S1, 4.2).

Owns which operators are which parts, for decode steps and for prompts, and a bound from below of all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from host.llm.operators import Operator, Step, layer_operators
from host.machines.cost import Bound, Cost, in_sequence, repeated
from host.machines.gpu_times import GIGA, TERA, operations_per_s

from .attention_devices import GpuAttention
from .attention_work import AttentionWork, Priced
from .gpu_parts import activation_part, all_reduce_part, fc_part, link_part, norm_part
from .schedules import coprocessed_s

if TYPE_CHECKING:
    from .systems import HeteroSystem

__all__ = [
    "FFN",
    "attention_work",
    "fc_parts",
    "ffn_seconds",
    "least_layer_s",
    "link_parts",
    "operators_by_name",
    "prompt_layer",
    "rest_parts",
]

FFN = ("ffn_up", "ffn_down")
FC = ("qkv", "projection", *FFN)
ROUNDING = 1 - 1e-9  # so that a bound is none the less for rounding errors


def operators_by_name(system: HeteroSystem, step: Step) -> dict[str, Operator]:
    """The operators of a layer; of two norms and two residuals, which are alike, one each."""
    return {operator.name: operator for operator in layer_operators(system.model, step)}


def attention_work(system: HeteroSystem, step: Step) -> AttentionWork:
    """What there is to compute of attention."""
    return AttentionWork.of(system.model, system.quant, step, system.fidelity, system.energy_mode)


def fc_parts(system: HeteroSystem, operators: Mapping[str, Operator]) -> dict[str, Priced]:
    """Products with weights, on the GPUs alone. A gate has a product of its own."""
    matrices = {"ffn_up": system.model.ffn_matrices - 1}
    return {
        name: fc_part(
            system.server,
            operators[name],
            matrices=matrices.get(name, 1),
            quant=system.quant,
            fidelity=system.fidelity,
            mode=system.energy_mode,
        )
        for name in FC
    }


def link_parts(system: HeteroSystem, elements: Mapping[str, int]) -> tuple[Priced, ...]:
    """Elements that cross between GPUs and the attention device, by what they are; none where that is the GPUs."""
    attention, gpus = system.attention, system.server.gpus.count
    gb_per_s = attention.link_gb_per_s
    if gb_per_s is None:
        return ()
    return tuple(
        link_part(name, moved, quant=system.quant, gpus=gpus, gb_per_s=gb_per_s, table=attention.link_energy)
        for name, moved in elements.items()
    )


def prompt_layer(system: HeteroSystem, batch: int, prompt: int) -> Cost:
    """A layer of the prompts of `batch` requests, all on the GPUs, with K and V sent to where attention will be.

    Attention is not masked: every token sees all of its prompt, as in document 1's simulator.
    """
    step = Step(batch=batch, context=prompt, new_tokens=prompt)
    operators = operators_by_name(system, step)
    attention = GpuAttention(system.server).priced(attention_work(system, step))
    kv_elements = sum(operators[name].kv_elements for name in ("score", "context"))
    parts = [
        *fc_parts(system, operators).values(),
        *attention,
        *link_parts(system, {"send k, v": kv_elements}),
        *rest_parts(system, operators),
    ]
    return in_sequence("layer", [priced.cost for priced in parts])


def least_layer_s(system: HeteroSystem, batch: int) -> float:
    """A bound from below that never falls when the batch grows: the arithmetic of products with weights on all of the
    multiprocessors, which nothing hides but attention that takes longer, all-reduces, norms and the activation.
    """
    operators = operators_by_name(system, Step(batch=batch, context=1))
    gpus = system.server.gpus
    flops_per_s = gpus.count * operations_per_s(gpus, _widest_bits(system))
    arithmetic_s = {name: operators[name].flops / flops_per_s for name in FC}
    ffn_s = sum(
        min(ffn_seconds(system, batch, arithmetic_s[name], bound) for bound in ("compute", "unit bandwidth"))
        for name in FFN
    )
    rest_s = sum(part.cost.seconds for part in rest_parts(system, operators))
    return ROUNDING * (arithmetic_s["qkv"] + arithmetic_s["projection"] + ffn_s + rest_s)


def ffn_seconds(system: HeteroSystem, batch: int, seconds: float, bound: Bound) -> float:
    """Of a feed-forward product that takes `seconds` on the GPUs alone."""
    if system.ffn == "gpu":
        return seconds
    stacks, gpus = system.pim.stacks, system.server.gpus
    pim_bytes_per_s = float(stacks.peak_gb_per_s) * stacks.stacks_per_device * GIGA
    return coprocessed_s(
        seconds,
        bound,
        gpu_bytes_per_s=float(gpus.gb_per_s) * GIGA,
        pim_bytes_per_s=pim_bytes_per_s,
        gpu_flops_per_s=float(gpus.tflops) * TERA,
        pim_flops_per_s=2 * pim_bytes_per_s / (_widest_bits(system) / 8),
        batch=batch,
    )


def _widest_bits(system: HeteroSystem) -> int:
    """Products with weights are computed in the wider of the types of their operands."""
    return max(system.quant.weight_bits, system.quant.activation_bits)


def rest_parts(system: HeteroSystem, operators: Mapping[str, Operator]) -> tuple[Priced, Priced, Priced]:
    """What is neither a product nor attention; nothing overlaps it, unless whole batches do."""
    server, quant, mode = system.server, system.quant, system.energy_mode
    reduced = all_reduce_part(server, operators["projection"], quant=quant)
    norm = norm_part(server, operators["norm"], operators["residual"], quant=quant, mode=mode)
    return (
        _twice(reduced),  # after the projection, and after the feed-forward network
        _twice(norm),
        activation_part(server, operators["activation"], quant=quant, mode=mode),
    )


def _twice(priced: Priced) -> Priced:
    return Priced(repeated(priced.cost, 2), priced.energy.times(2))
