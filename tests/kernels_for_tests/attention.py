"""Attention cases for tests: the nine programs, operands of every kind, and one way to run and compare them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpu_kernels.attention import Accumulation, Norm, output_kind, output_length, rows_in_a_pass, score_kind
from host.attention.attention_set import AttentionSet
from host.attention.ranges import largest_operand
from host.attention.reference import attention_div_d, attention_softmax
from host.attention.softmax_plan import SoftmaxPlan, softmax_plan
from host.attention.sums import SoftmaxSums
from pim_runtime import EngineOptions, Machine
from pim_runtime.commands import LaunchResult
from pim_runtime.device.integers import IntegerType, as_integer_type
from pim_runtime.hardware import Hardware
from pim_runtime.timeline import Row

__all__ = ["PATTERNS", "VARIANTS", "Case", "Outcome", "Sizes", "Variant", "assert_same", "make_case", "make_set", "run"]

Integers = NDArray[np.signedinteger[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One of the attention programs."""

    dtype: str
    norm: Norm
    acc: Accumulation

    def __str__(self) -> str:
        return f"{self.dtype}-{self.norm}-{self.acc}"

    @property
    def kind(self) -> IntegerType:
        return as_integer_type(np.dtype(self.dtype))

    def largest(self, dim: int, tokens: int) -> int:
        """The greatest operand magnitude that is allowed: of the type itself, if the accumulators can take it."""
        limit = largest_operand(dtype=self.dtype, norm=self.norm, acc=self.acc, dim=dim, max_tokens=tokens)
        info = np.iinfo(self.dtype)
        return -int(info.min) if limit == info.max else limit


VARIANTS = [
    Variant(dtype=dtype, norm=norm, acc=acc)
    for norm, acc in (("div_d", "wrap"), ("div_d", "wide"), ("softmax", "wide"))
    for dtype in ("int8", "int16", "int32")
]

# K and V patterns of section 10's inventory; the queries of each are in `_query`.
PATTERNS = ("random", "all equal", "one hot", "alternating", "all lowest", "zero v", "zero")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Case:
    """Operands q [1, heads, dim], k and v [1, heads, tokens, dim] of a variant, within `operand_max`."""

    variant: Variant
    q: Integers
    k: Integers
    v: Integers
    operand_max: int
    plans: tuple[SoftmaxPlan, ...]

    @property
    def tokens(self) -> int:
        return self.k.shape[2]

    @property
    def dim(self) -> int:
        return self.k.shape[3]

    def expected(self) -> Integers | SoftmaxSums:
        """The integer reference."""
        if self.variant.norm == "softmax":
            return attention_softmax(self.q, self.k, self.v, self.plans[0])
        return attention_div_d(self.q, self.k, self.v, acc=self.variant.acc)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outcome:
    """What one decode step left: outputs, the counters of its launch, and every row of the timeline."""

    outputs: Integers | SoftmaxSums
    result: LaunchResult
    timeline: list[Row]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Bytes of what a DMA of attention moves, computed from the types alone."""

    row: int
    output: int
    group: int

    @classmethod
    def of(cls, variant: Variant, dim: int) -> Sizes:
        output = output_length(dim, variant.norm) * output_kind(variant.kind, variant.acc).itemsize
        return cls(
            row=_multiple_of_8(dim * variant.kind.itemsize),
            output=_multiple_of_8(output),
            group=8 * score_kind(variant.kind, variant.acc).itemsize,
        )

    def wram_bytes(self, variant: Variant) -> int:
        """WRAM buffers of 24 tasklets, each aligned to 64 bytes, and the master's second output."""
        buffers = (1 + rows_in_a_pass(variant.kind)) * self.row + self.output + self.group
        return 24 * (buffers + 64 - 8) + self.output


def make_case(
    variant: Variant,
    *,
    tokens: int,
    dim: int,
    patterns: tuple[str, ...] = ("random",),
    seed: int = 0,
    logit_scale: float | None = None,
) -> Case:
    """A case with one head per pattern. Default logit scale: one that makes the weights of random operands differ."""
    largest, generator = variant.largest(dim, tokens), np.random.default_rng(seed)
    highest = min(largest, int(np.iinfo(variant.dtype).max))
    q = np.stack([_query(pattern, generator, dim, -largest, highest) for pattern in patterns])
    k = np.stack([_rows(pattern, "k", generator, (tokens, dim), -largest, highest) for pattern in patterns])
    v = np.stack([_rows(pattern, "v", generator, (tokens, dim), -largest, highest) for pattern in patterns])
    plans: tuple[SoftmaxPlan, ...] = ()
    if variant.norm == "softmax":
        bound = dim * largest * largest
        plans = (softmax_plan(logit_scale=logit_scale or 6 * math.sqrt(dim) / bound, score_bound=bound),)
    q, k, v = (x[None].astype(variant.dtype) for x in (q, k, v))
    return Case(variant=variant, q=q, k=k, v=v, operand_max=largest, plans=plans)


def make_set(
    case: Case,
    hardware: Hardware,
    *,
    max_tokens: int | None = None,
    nr_tasklets: int = 17,
    options: EngineOptions | None = None,
    machine: Machine | None = None,
) -> AttentionSet:
    """DPUs for a case, by default of a machine of their own."""
    return AttentionSet(
        batch=case.q.shape[0],
        heads=case.q.shape[1],
        dim=case.dim,
        max_tokens=max_tokens or case.tokens,
        dtype=case.variant.dtype,
        norm=case.variant.norm,
        acc=case.variant.acc,
        operand_max=case.operand_max,
        plans=case.plans,
        nr_tasklets=nr_tasklets,
        machine=machine or Machine(hardware),
        options=options,
    )


def run(case: Case, hardware: Hardware, *, nr_tasklets: int = 17, options: EngineOptions | None = None) -> Outcome:
    """Load K and V and decode one step."""
    with make_set(case, hardware, nr_tasklets=nr_tasklets, options=options) as attention:
        attention.load_kv(case.k, case.v)
        attention.push_q(case.q)
        (result,) = attention.dpus.exec()
        outputs = attention.pull_o()
        return Outcome(outputs=outputs, result=result, timeline=list(attention.timeline.rows))


def assert_same(outputs: Integers | SoftmaxSums, expected: Integers | SoftmaxSums, *, where: str = "") -> None:
    """Bit for bit, type included."""
    for ours, theirs in zip(_parts(outputs), _parts(expected), strict=True):
        assert ours.dtype == theirs.dtype, where
        np.testing.assert_array_equal(ours, theirs, err_msg=where)


def _parts(outputs: Integers | SoftmaxSums) -> tuple[NDArray[Any], ...]:
    return tuple(outputs) if isinstance(outputs, SoftmaxSums) else (outputs,)


def _query(pattern: str, generator: np.random.Generator, dim: int, lowest: int, highest: int) -> NDArray[np.int64]:
    if pattern == "alternating":
        return np.where(np.arange(dim) % 2, lowest, highest)
    if pattern == "all lowest":
        return np.full(dim, lowest)
    return generator.integers(lowest, highest, dim, endpoint=True)


def _rows(
    pattern: str, operand: str, generator: np.random.Generator, shape: tuple[int, int], lowest: int, highest: int
) -> NDArray[np.int64]:
    rows = generator.integers(lowest, highest, shape, endpoint=True)
    if pattern == "all equal":
        rows[:] = rows[0]
    elif pattern == "one hot" and operand == "k":
        winner, rows = rows[len(rows) // 2].copy(), np.zeros_like(rows)
        rows[len(rows) // 2] = winner
    elif pattern == "alternating":
        rows = np.where((np.arange(shape[0])[:, None] + np.arange(shape[1])) % 2, lowest, highest)
    elif pattern == "all lowest":
        rows[:] = lowest
    elif pattern == "zero" or (pattern == "zero v" and operand == "v"):
        rows[:] = 0
    return rows


def _multiple_of_8(nbytes: int) -> int:
    return -(-nbytes // 8) * 8
