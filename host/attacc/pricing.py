"""What one layer costs on a system: its parts on the GPUs, attention where the system has it, and what overlaps (S1-1).

A batch is priced once, and then each context: only attention depends on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from host.llm.operators import Operator, Step, layer_operators
from host.machines.cost import Bound, Cost, in_sequence, overlapped, repeated
from host.machines.gpu_times import GIGA, TERA, operations_per_s

from .attention_work import AttentionSeconds, AttentionWork, Priced
from .energy import Energy
from .gpu_parts import activation_part, all_reduce_part, fc_part, link_part, norm_part
from .schedules import RULES, BlockSeconds, coprocessed_s, exposed

if TYPE_CHECKING:
    from .systems import HeteroSystem

__all__ = ["LayerPrices", "least_layer_s"]

COPROCESSED = "weights shared between GPUs and the memory that computes attention"
FFN = ("ffn_up", "ffn_down")
FC = ("qkv", "projection", *FFN)
ROUNDING = 1 - 1e-9  # so that a bound is none the less for rounding errors


class LayerPrices:
    """One layer of a decode step of `batch` requests. Raises ValueError for a batch below 1."""

    def __init__(self, system: HeteroSystem, batch: int) -> None:
        self._system, self._batch, self._attention = system, batch, system.attention
        operators = layer_operators(system.model, Step(batch=batch, context=1))
        named = {operator.name: operator for operator in operators}
        server, quant, mode = system.server, system.quant, system.energy_mode
        matrices = {"ffn_up": system.model.ffn_matrices - 1}
        self._fc = {
            name: fc_part(
                server, named[name], matrices=matrices.get(name, 1), quant=quant, fidelity=system.fidelity, mode=mode
            )
            for name in FC
        }
        self._rest = _rest_parts(system, named)
        self._links = self._transfers(
            {"send q, k, v": named["qkv"].output_elements, "return outputs": named["projection"].input_elements}
        )
        self._ffn_s = {
            name: _ffn_seconds(system, batch, self._fc[name].cost.seconds, self._fc[name].cost.bound_by) for name in FFN
        }
        self._rest_s = sum(self._ffn_s.values()) + sum(part.cost.seconds for part in self._rest)

    def seconds(self, context: int) -> float:
        """`cost(context).seconds`, for those who need no more."""
        return self._left(self._attention.seconds(self._work(context))).seconds + self._rest_s

    def sides_s(self, context: int) -> tuple[float, float]:
        """Seconds of the two `sides`."""
        busy = self._busy(self._attention.seconds(self._work(context)))
        return busy.seconds - busy.attention + self._rest_s, busy.attention

    def cost(self, context: int) -> Cost:
        """The tree of the layer. A part that overlaps others has what remains of it, and its own time below."""
        score, softmax, weighted = (priced.cost for priced in self._attention.priced(self._work(context)))
        left = self._left(AttentionSeconds(score.seconds, softmax.seconds, weighted.seconds))
        rule = RULES[self._system.schedule]
        links = [priced.cost for priced in self._links]
        parts = [
            _remaining(self._fc["qkv"].cost, left.qkv, rule),
            *([_remaining(in_sequence("transfers", links), left.transfer, rule)] if links else []),
            score,
            _remaining(softmax, left.softmax, rule),
            weighted,
            _remaining(self._fc["projection"].cost, left.projection, rule),
            *(_remaining(self._fc[name].cost, seconds, COPROCESSED) for name, seconds in self._ffn_s.items()),
            *(part.cost for part in self._rest),
        ]
        return in_sequence("layer", parts)

    def sides(self, context: int) -> tuple[Cost, Cost]:
        """The layer in two: everything on the GPUs and their links, and attention; nothing overlaps."""
        gpus = [*self._fc.values(), *self._links, *self._rest]
        return (
            in_sequence("GPUs", [priced.cost for priced in gpus]),
            in_sequence("attention", [priced.cost for priced in self._attention.priced(self._work(context))]),
        )

    def energies(self, context: int) -> dict[str, Energy]:
        """Of each part, by its name."""
        parts = [*self._fc.values(), *self._attention.priced(self._work(context)), *self._links, *self._rest]
        return {priced.cost.name: priced.energy for priced in parts}

    def _work(self, context: int) -> AttentionWork:
        system, step = self._system, Step(batch=self._batch, context=context)
        return AttentionWork.of(system.model, system.quant, step, system.fidelity, system.energy_mode)

    def _busy(self, attention: AttentionSeconds) -> BlockSeconds:
        return BlockSeconds(
            qkv=self._fc["qkv"].cost.seconds,
            projection=self._fc["projection"].cost.seconds,
            transfer=sum(priced.cost.seconds for priced in self._links),
            gemv=attention.gemv,
            softmax=attention.softmax,
        )

    def _left(self, attention: AttentionSeconds) -> BlockSeconds:
        head_share = min(1.0, self._system.server.gpus.count / self._system.model.heads)
        return exposed(self._system.schedule, self._busy(attention), head_share=head_share)

    def _transfers(self, elements: dict[str, int]) -> tuple[Priced, ...]:
        attention, gpus = self._system.attention, self._system.server.gpus.count
        gb_per_s = attention.link_gb_per_s
        if gb_per_s is None:
            return ()
        return tuple(
            link_part(name, moved, quant=self._system.quant, gpus=gpus, gb_per_s=gb_per_s, table=attention.link_energy)
            for name, moved in elements.items()
        )


def least_layer_s(system: HeteroSystem, batch: int) -> float:
    """A bound from below that never falls when the batch grows: the arithmetic of products with weights on all of the
    multiprocessors, which nothing hides but attention that takes longer, all-reduces, norms and the activation.
    """
    operators = {operator.name: operator for operator in layer_operators(system.model, Step(batch=batch, context=1))}
    gpus = system.server.gpus
    flops_per_s = gpus.count * operations_per_s(gpus, _widest_bits(system))
    arithmetic_s = {name: operators[name].flops / flops_per_s for name in FC}
    ffn_s = sum(
        min(_ffn_seconds(system, batch, arithmetic_s[name], bound) for bound in ("compute", "unit bandwidth"))
        for name in FFN
    )
    rest_s = sum(part.cost.seconds for part in _rest_parts(system, operators))
    return ROUNDING * (arithmetic_s["qkv"] + arithmetic_s["projection"] + ffn_s + rest_s)


def _ffn_seconds(system: HeteroSystem, batch: int, seconds: float, bound: Bound) -> float:
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


def _rest_parts(system: HeteroSystem, operators: Mapping[str, Operator]) -> tuple[Priced, Priced, Priced]:
    """What is neither a product nor attention; nothing overlaps it, unless whole batches do."""
    server, quant, mode = system.server, system.quant, system.energy_mode
    reduced = all_reduce_part(server, operators["projection"], quant=quant)
    norm = norm_part(server, operators["norm"], operators["residual"], quant=quant, mode=mode)
    return (
        _twice(reduced),  # after the projection, and after the feed-forward network
        _twice(norm),
        activation_part(server, operators["activation"], quant=quant, mode=mode),
    )


def _remaining(cost: Cost, seconds: float, rule: str) -> Cost:
    """A part of which only so much remains beside what it overlaps."""
    if seconds == cost.seconds:
        return cost
    return overlapped(cost.name, (cost,), seconds=seconds, rule=rule)


def _twice(priced: Priced) -> Priced:
    return Priced(repeated(priced.cost, 2), priced.energy.times(2))
