"""Systems side by side under limits on the time of a step: batches, throughput, and who gains how much (S1-14, S1-15).

Owns the grid of operating points that document 1 is judged on, and what a system does at a point.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from host.llm.model import ModelConfig
from host.llm.quantisation import QuantConfig
from host.machines.batch_search import BatchChoice

from .systems import HeteroSystem, Latency, attacc_system

__all__ = ["GRID_POINTS", "GRID_SLOS_S", "Outcome", "Point", "compared_systems", "outcome", "tokens_per_s"]


class Point(NamedTuple):
    """Tokens of a prompt, and new ones."""

    prompt: int
    new_tokens: int


GRID_POINTS = (Point(2048, 2048), Point(2048, 128), Point(128, 2048), Point(512, 512))
GRID_SLOS_S = (0.03, 0.05, 0.07, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The batch that a system chose at a point, and what it decodes."""

    choice: BatchChoice
    mean_step_s: float

    @property
    def tokens_per_s(self) -> float:
        """Of all requests, of their decode steps alone."""
        return self.choice.batch / self.mean_step_s


def tokens_per_s(system: HeteroSystem, batch: int, point: Point) -> float:
    """Of a given batch (S1-15)."""
    return batch / system.mean_step_s(batch, *point)


def outcome(system: HeteroSystem, point: Point, slo_s: float | None, latency: Latency = "last") -> Outcome:
    """The largest batch that fits and meets the SLO, or the fallback. Raises as `HeteroSystem.max_batch` does."""
    choice = system.max_batch(*point, slo_s=slo_s, latency=latency)
    return Outcome(choice=choice, mean_step_s=system.mean_step_s(choice.batch, *point))


def compared_systems(model: ModelConfig, quant: QuantConfig) -> Mapping[str, HeteroSystem]:
    """GPUs, GPUs with as much memory as those with AttAcc, and AttAcc with all that overlaps."""
    return {
        "dgx": attacc_system("dgx", model, quant),
        "dgx_large": attacc_system("dgx_large", model, quant),
        "dgx+attacc": attacc_system("dgx+attacc", model, quant, schedule="head_level", ffn="coprocessed"),
    }
