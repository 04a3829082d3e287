"""The systems and the model of document 1's claims, and results that several checks look at."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from itertools import product

from host.attacc.schedules import Schedule
from host.attacc.slo_grid import (
    GRID_POINTS,
    GRID_SLOS_S,
    Outcome,
    Point,
    compared_systems,
    outcome,
)
from host.attacc.systems import HeteroSystem, SystemName, attacc_system
from host.llm.catalogue import published_model
from host.llm.model import ModelConfig
from host.llm.quantisation import FP16, QuantConfig

__all__ = ["LONG", "SHORT_PROMPT", "AttAccEvidence", "best_attacc", "gpt3", "grid", "scheduled", "system_named"]

LONG, SHORT_PROMPT = (2048, 2048, 54), (128, 2048, 101)
"""Tokens of a prompt, new tokens, batch."""


class AttAccEvidence:
    """Results that several checks look at; each is computed when it is first needed."""

    @cached_property
    def grid(self) -> Mapping[tuple[Point, float | None], Mapping[str, Outcome]]:
        """What each system does at each point and SLO, at 16 bits."""
        return grid(FP16)

    def gain(self, point: Point, slo_s: float | None) -> float:
        """Tokens per second of AttAcc, over those of GPUs with as much memory."""
        cell = self.grid[point, slo_s]
        return cell["dgx+attacc"].tokens_per_s / cell["dgx_large"].tokens_per_s


def grid(quant: QuantConfig) -> Mapping[tuple[Point, float | None], Mapping[str, Outcome]]:
    """What each system does at each point and SLO."""
    systems = compared_systems(gpt3(), quant)
    return {
        (point, slo_s): {name: outcome(system, point, slo_s) for name, system in systems.items()}
        for point, slo_s in product(GRID_POINTS, GRID_SLOS_S)
    }


def best_attacc(quant: QuantConfig = FP16) -> HeteroSystem:
    """With all that overlaps."""
    return compared_systems(gpt3(), quant)["dgx+attacc"]


def scheduled(schedule: Schedule) -> HeteroSystem:
    """With AttAcc at banks, and so much overlapped."""
    return attacc_system("dgx+attacc", gpt3(), FP16, schedule=schedule)


def system_named(name: SystemName, quant: QuantConfig = FP16) -> HeteroSystem:
    """Of document 1, nothing overlapped."""
    return attacc_system(name, gpt3(), quant)


def gpt3() -> ModelConfig:
    """The model of all claims about times."""
    return published_model("gpt3-175b")
