"""How a matrix is spread over units, and what its product with a vector moves (S2-5): one formula for three ways.

A matrix is cut into `output_parts` x `input_parts` blocks, one per unit. Units that share inputs get the same part of
the vector; units that share outputs have partial sums that somebody adds up: the controller, or the units among
themselves where they have links, for which no time is counted. Counts are of elements, exact; the busiest unit has the
largest block, of whole outputs and inputs.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Literal, get_args

from host.llm.model import ModelConfig
from host.llm.operators import Step, layer_operators, output_operator
from host.llm.quantisation import QuantConfig

from .near_memory import Round, Work

__all__ = [
    "BankLinks",
    "Fusion",
    "Gemv",
    "WeightPartition",
    "WeightTraffic",
    "controller_elements",
    "gemv_traffic",
    "model_gemvs",
    "oned_in",
    "oned_out",
    "weight_partitions",
    "weight_traffic",
    "weight_work",
]

BankLinks = Literal["none", "mesh"]
"""none: units reach the controller only. mesh: they add partial sums up among themselves, and one result goes up."""

Fusion = Literal["separate", "fused"]
"""Whether q, k, v and the two inputs of a gated network are products of their own, or one each (S2-7)."""


@dataclass(frozen=True, slots=True)
class Gemv:
    """A matrix of [inputs, outputs], `times` times in a model."""

    name: str
    inputs: Fraction
    outputs: Fraction
    times: int


@dataclass(frozen=True, slots=True)
class WeightPartition:
    """Blocks of a matrix: outputs in `output_parts`, inputs in `input_parts`. Raises ValueError for sizes below 1."""

    output_parts: int
    input_parts: int
    bank_links: BankLinks = "none"

    def __post_init__(self) -> None:
        for name in ("output_parts", "input_parts"):
            if getattr(self, name) < 1:
                raise ValueError(f"weight partition: {name} = {getattr(self, name)}: must be at least 1")
        if self.bank_links not in get_args(BankLinks):
            raise ValueError(f"bank_links = {self.bank_links!r}: choose one of {', '.join(get_args(BankLinks))}")

    @property
    def name(self) -> str:
        """For people."""
        linked = ", linked" if self.bank_links == "mesh" else ""
        if self.input_parts == 1:
            return f"1-D: outputs over {self.output_parts} units{linked}"
        if self.output_parts == 1:
            return f"1-D: inputs over {self.input_parts} units{linked}"
        return f"2-D: {self.output_parts} x {self.input_parts} units{linked}"

    @property
    def units(self) -> int:
        """That a matrix is spread over."""
        return self.output_parts * self.input_parts

    @property
    def results_per_output(self) -> int:
        """Numbers that come up for each output, the partial sums of those that share it."""
        return 1 if self.bank_links == "mesh" else self.input_parts


@dataclass(frozen=True, slots=True)
class WeightTraffic:
    """Of products with weights, all units together, in elements: `controller_adds` partial sums are added there."""

    transfers: int
    down: Fraction
    up: Fraction
    controller_adds: Fraction
    macs: Fraction

    @property
    def volume(self) -> Fraction:
        """Elements on the link."""
        return self.down + self.up


def oned_out(units: int) -> WeightPartition:
    """Each unit has some outputs and gets all inputs, in a broadcast; nothing is to be added."""
    return WeightPartition(units, 1)


def oned_in(units: int, bank_links: BankLinks = "none") -> WeightPartition:
    """Each unit has some inputs, and partial sums of all outputs."""
    return WeightPartition(1, units, bank_links)


def weight_partitions(units: int, bank_links: BankLinks = "none") -> Iterator[WeightPartition]:
    """Outputs in r parts and inputs in c, for every r and c with r c = units: 1-D both ways and 2-D."""
    for input_parts in range(1, units + 1):
        if units % input_parts == 0:
            yield WeightPartition(units // input_parts, input_parts, bank_links)


@functools.lru_cache(maxsize=64)  # a sweep asks for the same model at each of its points
def model_gemvs(model: ModelConfig, fusion: Fusion = "separate") -> tuple[Gemv, ...]:
    """The products of a decode step with weights, of a layer and then the output's.

    Raises ValueError if the vocabulary is unknown.
    """
    step = Step(batch=1, context=1)
    kv = Fraction(model.kv_heads * model.dim)
    gated = [Fraction(model.ffn)] * (model.ffn_matrices - 1)
    parts = {"qkv": [Fraction(model.heads * model.dim), kv, kv], "ffn_up": gated} if fusion == "separate" else {}
    gemvs = []
    for operator in (*layer_operators(model, step), output_operator(model, step)):
        if operator.weight_elements and operator.matmul is not None:
            inputs, columns = Fraction(operator.matmul.inner), Fraction(operator.matmul.columns)
            times = 1 if operator.name == "output" else model.layers
            gemvs += [Gemv(operator.name, inputs, outputs, times) for outputs in parts.get(operator.name, [columns])]
    return tuple(gemvs)


def gemv_traffic(gemv: Gemv, partition: WeightPartition, *, rows: int = 1) -> WeightTraffic:
    """What `rows` vectors move for one of the products: operands down in a transfer, results up in another."""
    return WeightTraffic(
        transfers=2,
        down=rows * gemv.inputs,
        up=rows * partition.results_per_output * gemv.outputs,
        controller_adds=rows * (partition.results_per_output - 1) * gemv.outputs,
        macs=rows * gemv.inputs * gemv.outputs,
    )


def weight_traffic(
    model: ModelConfig, partition: WeightPartition, *, fusion: Fusion = "separate", rows: int = 1
) -> WeightTraffic:
    """What all products of `rows` tokens move. Source: S2-5, S2-7; document 2, section 3.1.3."""
    each = [(gemv.times, gemv_traffic(gemv, partition, rows=rows)) for gemv in model_gemvs(model, fusion)]
    return WeightTraffic(
        transfers=sum(times * one.transfers for times, one in each),
        down=sum((times * one.down for times, one in each), Fraction(0)),
        up=sum((times * one.up for times, one in each), Fraction(0)),
        controller_adds=sum((times * one.controller_adds for times, one in each), Fraction(0)),
        macs=sum((times * one.macs for times, one in each), Fraction(0)),
    )


def controller_elements(model: ModelConfig, *, rows: int = 1) -> Fraction:
    """Elements that the controller reads for `rows` tokens: norms and sums of the residuals, gates, and the logits.

    V + n_l (4 H + (ffn_mats - 1) M). Source: document 2, section 3.1.4.
    """
    (output,) = (gemv for gemv in model_gemvs(model) if gemv.name == "output")
    return rows * (output.outputs + model.layers * (4 * model.hidden + (model.ffn_matrices - 1) * Fraction(model.ffn)))


def weight_work(
    model: ModelConfig,
    quant: QuantConfig,
    partition: WeightPartition,
    *,
    fusion: Fusion = "separate",
    rows: int = 1,
    imbalance: Fraction = Fraction(1),
) -> Work:
    """The products of `rows` tokens with all weights, each of which is read once.

    imbalance: weights of the unit that has the most, over the mean; see `placement`. Activations move at their own
    bits. Raises ValueError for no rows.
    """
    if rows < 1:
        raise ValueError(f"weights: {rows} rows: must be at least 1")
    gemvs = model_gemvs(model, fusion)
    total = weight_traffic(model, partition, fusion=fusion, rows=rows)
    partial_sums = total.up if total.controller_adds else 0
    return Work(
        rounds=tuple(_round(gemv, quant, partition, rows, imbalance) for gemv in gemvs),
        controller_bytes=(controller_elements(model, rows=rows) + partial_sums) * Fraction(quant.activation_bits, 8),
    )


def _round(gemv: Gemv, quant: QuantConfig, partition: WeightPartition, rows: int, imbalance: Fraction) -> Round:
    traffic, element_bytes = gemv_traffic(gemv, partition, rows=rows), Fraction(quant.activation_bits, 8)
    largest = ceil(gemv.outputs / partition.output_parts) * ceil(gemv.inputs / partition.input_parts)
    return Round(
        times=gemv.times,
        units=partition.units,
        operation="product",
        element_bits=quant.weight_bits,
        read_bytes=gemv.inputs * gemv.outputs * Fraction(quant.weight_bits, 8),
        macs=traffic.macs,
        down="broadcast" if partition.input_parts == 1 else "scatter",
        down_bytes=traffic.down * element_bytes,
        unit_down_bytes=traffic.down / partition.input_parts * element_bytes,
        up_bytes=traffic.up * element_bytes,
        imbalance=imbalance * largest * partition.units / (gemv.inputs * gemv.outputs),
    )
