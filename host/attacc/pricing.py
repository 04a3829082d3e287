"""What one layer costs on a system: its parts on the GPUs, attention where the system has it, and what overlaps (S1-1).

A batch is priced once, and then each context: only attention depends on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from host.llm.operators import Step
from host.machines.cost import Cost, in_sequence, overlapped

from .attention_work import AttentionSeconds, AttentionWork
from .energy import Energy
from .layer_parts import FFN, attention_work, fc_parts, ffn_seconds, link_parts, operators_by_name, rest_parts
from .schedules import RULES, BlockSeconds, exposed

if TYPE_CHECKING:
    from .systems import HeteroSystem

__all__ = ["LayerPrices"]

COPROCESSED = "weights shared between GPUs and the memory that computes attention"


class LayerPrices:
    """One layer of a decode step of `batch` requests. Raises ValueError for a batch below 1."""

    def __init__(self, system: HeteroSystem, batch: int) -> None:
        self._system, self._batch, self._attention = system, batch, system.attention
        operators = operators_by_name(system, Step(batch=batch, context=1))
        sent, returned = operators["qkv"].output_elements, operators["projection"].input_elements
        self._fc = fc_parts(system, operators)
        self._rest = rest_parts(system, operators)
        self._links = link_parts(system, {"send q, k, v": sent, "return outputs": returned})
        self._ffn_s = {
            name: ffn_seconds(system, batch, self._fc[name].cost.seconds, self._fc[name].cost.bound_by) for name in FFN
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
        return attention_work(self._system, Step(batch=self._batch, context=context))

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


def _remaining(cost: Cost, seconds: float, rule: str) -> Cost:
    """A part of which only so much remains beside what it overlaps."""
    if seconds == cost.seconds:
        return cost
    return overlapped(cost.name, (cost,), seconds=seconds, rule=rule)
