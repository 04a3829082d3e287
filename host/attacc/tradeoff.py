"""Query heads that share K and V, on units that reuse what they read: energy, time, SLO, area and memory (S1-12).

Owns the table over groups and rows. A unit of R rows multiplies K or V with R query heads at a time, as a systolic
array; its area is an assumption.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from host.llm.model import ModelConfig
from host.llm.parameters import kv_bytes_per_token
from host.machines.batch_search import BatchChoice

from .classes import seconds_by_class
from .pim_attention import PimAttention
from .slo_grid import Point
from .systems import HeteroSystem

__all__ = ["AREA_PER_ROW", "Tradeoff", "area_factor", "model_with_groups", "tradeoffs"]

AREA_PER_ROW = 0.12
"""Assumed: what each further row adds to the area of a GEMV unit, of the area of a unit with one row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tradeoff:
    """A model whose query heads share K and V in groups, on units with so many rows, in the last step of a batch.

    kv_read_bytes: by all units. flops_per_byte: of attention, per byte that is read. gpu_step_s: of the GPUs without
    PIM. choice: the largest batch that fits and meets the SLO.
    """

    queries: int
    rows: int
    kv_bytes_per_token: int
    kv_read_bytes: float
    flops_per_byte: float
    attention_s: float
    step_s: float
    gpu_step_s: float
    joules_per_token: float
    area_factor: float
    choice: BatchChoice

    @property
    def speedup(self) -> float:
        """Over the GPUs alone."""
        return self.gpu_step_s / self.step_s


def area_factor(rows: int, per_row: float = AREA_PER_ROW) -> float:
    """Area of a unit with so many rows, over that of one with a single row."""
    return 1 + per_row * (rows - 1)


def model_with_groups(model: ModelConfig, queries: int) -> ModelConfig:
    """The model with a KV head for each `queries` query heads. Raises ValueError if these do not divide its heads."""
    if queries < 1 or model.heads % queries:
        raise ValueError(f"groups of {queries} query heads: {model.name} has {model.heads}, which they must divide")
    return replace(model, kv_heads=model.heads // queries)


def tradeoffs(
    with_pim: HeteroSystem,
    without: HeteroSystem,
    *,
    groups: Sequence[int],
    rows: Sequence[int],
    point: Point,
    batch: int,
    slo_s: float | None,
    area_per_row: float = AREA_PER_ROW,
) -> list[Tradeoff]:
    """Each group on each number of rows; the model and its other sizes are those of `with_pim`.

    Raises ValueError for groups that do not divide the heads, rows below 1, and systems without PIM.
    """
    found = []
    for queries in groups:
        model = model_with_groups(with_pim.model, queries)
        gpu_step_s = replace(without, model=model).last_step(batch, *point).seconds
        for reuse_rows in rows:
            attention = PimAttention(with_pim.pim, reuse_rows)
            system = replace(with_pim, model=model, attention=attention)
            area = area_factor(reuse_rows, area_per_row)
            found.append(_tradeoff(system, reuse_rows, point, batch, slo_s, gpu_step_s, area))
    return found


def _tradeoff(
    system: HeteroSystem, rows: int, point: Point, batch: int, slo_s: float | None, gpu_step_s: float, area: float
) -> Tradeoff:
    step = system.last_step(batch, *point)
    products = [leaf for leaf in step.leaves if leaf.name in ("score", "context")]
    read_bytes = sum(leaf.moved_bytes for leaf in products)
    return Tradeoff(
        queries=system.model.queries,
        rows=rows,
        kv_bytes_per_token=kv_bytes_per_token(system.model, system.quant),
        kv_read_bytes=read_bytes,
        flops_per_byte=sum(leaf.operations for leaf in products) / read_bytes,
        attention_s=seconds_by_class(step)["attention"],
        step_s=step.seconds,
        gpu_step_s=gpu_step_s,
        joules_per_token=step.joules / batch,
        area_factor=area,
        choice=system.max_batch(*point, slo_s=slo_s),
    )
