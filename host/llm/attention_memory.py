"""MUE of the attention kernels, from runs on an emulated DPU (S3-5, C3-10): by operator, and as one operator.

Owns which phases of a kernel are which operator, and what the operators have to move at least.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Literal, NamedTuple

import numpy as np

from dpu_kernels.attention import score_kind, storage
from host.attention.attention_set import AttentionSet
from host.attention.workload import Method, synthetic_workload
from pim_runtime import EngineOptions, Machine

from .memory_use import MemoryUse, memory_use
from .model import toy
from .operators import Operator, Step, layer_operators

__all__ = ["AttentionMemory", "SoftmaxNorm", "attention_memory"]

SoftmaxNorm = Literal["softmax", "softmax_online"]
DTYPE: Literal["int8"] = "int8"
OUTPUT_BYTES = 8  # of an element of the sums, int64
PHASES = {"score": (0, 1), "softmax": (2,), "context": (3, 4)}
"""With scores in MRAM. In phase 0 the master may fetch queries, in phase 4 it adds up the workers' sums."""


class AttentionMemory(NamedTuple):
    """Of one head, or of the query heads that share a KV head.

    whole: of the kernel, whose operator reads q, K and V and writes sums, and keeps scores to itself.
    operators: score, softmax and context, where these are phases of their own.
    """

    whole: MemoryUse
    operators: tuple[MemoryUse, ...]


def attention_memory(
    norm: SoftmaxNorm,
    *,
    tokens: int,
    dim: int,
    queries: int = 1,
    logit_deviation_factor: float = 1.0,
    machine: Machine,
    options: EngineOptions,
    nr_tasklets: int = 17,
    seed: int = 0,
) -> AttentionMemory:
    """Run one decode step of int8 softmax attention on one DPU of `machine`, on random operands.

    logit_deviation_factor: times the deviation that random logits have by default; larger ones leave most tokens
    without a weight. Raises what AttentionSet raises for shapes that do not fit a DPU.
    """
    workload = synthetic_workload(
        Method(dtype=DTYPE, norm=norm),
        batch=1,
        heads=queries,
        kv_heads=1,
        tokens=tokens,
        dim=dim,
        data="random",
        seed=seed,
    )
    scales = tuple(logit_deviation_factor * scale for scale in workload.spec.logit_scales)
    with AttentionSet(
        replace(workload.spec, logit_scales=scales), batch=1, nr_tasklets=nr_tasklets, machine=machine, options=options
    ) as attention:
        attention.load_kv(workload.k, workload.v)
        attention.push_q(np.ascontiguousarray(workload.queries[0]))
        (launch,) = attention.launch()
    least = _least_bytes(tokens, dim, queries)
    counters, hardware = launch.counters, machine.hardware
    whole = memory_use(norm, counters, hardware, phases=range(counters.nr_phases), minimal_bytes=least["attention"])
    if norm == "softmax_online":
        return AttentionMemory(whole, ())
    return AttentionMemory(
        whole,
        tuple(
            memory_use(name, counters, hardware, phases=phases, minimal_bytes=least[name])
            for name, phases in PHASES.items()
        ),
    )


def _least_bytes(tokens: int, dim: int, queries: int) -> dict[str, Fraction]:
    """Q of the three operators, and of all as one, with elements as wide as the kernels store them."""
    shape = toy(layers=1, hidden=queries * dim, heads=queries, kv_heads=1, dim=dim)
    operators = {operator.name: operator for operator in layer_operators(shape, Step(batch=1, context=tokens))}
    operand = storage(DTYPE).kind.itemsize
    score = score_kind(storage(DTYPE).kind, "wide").itemsize
    widths = {"score": (operand, score), "softmax": (score, score), "context": (score, OUTPUT_BYTES)}

    def least(operator: Operator, input_bytes: int, output_bytes: int) -> Fraction:
        return Fraction(
            operand * operator.kv_elements
            + input_bytes * operator.input_elements
            + output_bytes * operator.output_elements
        )

    parts = {name: least(operators[name], *width) for name, width in widths.items()}
    return parts | {"attention": least(operators["score"], operand, 0) + least(operators["context"], 0, OUTPUT_BYTES)}
