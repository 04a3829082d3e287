"""The section of `pim chip size` about ways to cut the weights: what each moves, and what is left to add up (S2-5)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .document_notes import document_says
from .output import Cell, Column, Section, Table

if TYPE_CHECKING:
    from host.chip.document import PimChip

__all__ = ["partition_section"]

US = 1e6


def partition_section(chip: PimChip, *, published: bool) -> Section:
    """1-D both ways and every 2-D cut over all banks, with the links among banks that the chip has."""
    from host.llm.operators import Step
    from host.machines.decode_step import weight_cost
    from host.machines.weight_partition import oned_out, weight_partitions, weight_traffic

    machine, plan, step = chip.memory, chip.plan, Step(batch=1, context=1)
    least = weight_traffic(chip.model, oned_out(machine.units), fusion=plan.fusion).volume
    rows: list[tuple[Cell, ...]] = []
    for partition in weight_partitions(machine.units, plan.weights.bank_links):
        traffic = weight_traffic(chip.model, partition, fusion=plan.fusion)
        cost = weight_cost(machine, chip.model, chip.quant, step, replace(plan, weights=partition))
        rows.append(
            (
                partition.name,
                traffic.transfers,
                int(traffic.down),
                int(traffic.up),
                int(traffic.controller_adds),
                float(traffic.volume / least),
                US * cost.part("link", "bandwidth").seconds,
                US * cost.part("controller").seconds,
            )
        )
    columns = (
        Column(name="weights"),
        Column(name="transfers", origin="exact"),
        Column(name="down", unit="elements", origin="exact"),
        Column(name="up", unit="elements", origin="exact"),
        Column(name="sums at the controller", origin="exact"),
        Column(name="volume over 1-D outputs", unit="times", origin="exact"),
        Column(name="link, lambda aside", unit="us", origin="modelled"),
        Column(name="controller", unit="us", origin="modelled"),
    )
    title = f"Products of a token with all weights, activations of {chip.quant.activation_bits} bits"
    links = "Links among banks, with --bank-links mesh, add partial sums up; no time is counted for them."
    said = (f"Document 2 on 2-D without such links: {document_says('C2-19')['']}.",) if published else ()
    table = Table(title=title, columns=columns, rows=tuple(rows))
    return Section(title="Partitions of the weights", tables=(table,), notes=(*said, links))
