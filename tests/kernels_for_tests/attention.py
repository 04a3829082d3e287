"""Attention cases for tests: every program, operands of every kind, and one way to run and compare them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpu_kernels.attention import Accumulation, DTypeName, Exponential, Norm
from host.attention.answers import Answers, rearrange
from host.attention.attention_set import AttentionSet
from host.attention.expected import expected_answers
from host.attention.layout import Paging
from host.attention.operands import operand_type
from host.attention.partition import Partition
from host.attention.ranges import AccumulatorOverflow, OperandLimits, check_ranges, operand_limits
from host.attention.spec import AttentionSpec
from pim_runtime import EngineOptions, Machine
from pim_runtime.commands import LaunchResult
from pim_runtime.hardware import Hardware
from pim_runtime.timeline import Row

from .attention_operands import query_of, rows_of

__all__ = [
    "LINEAR",
    "ONLINE",
    "SOFTMAX",
    "VARIANTS",
    "WHOLE",
    "WIDE",
    "WRAP",
    "ZSCORE",
    "Case",
    "Outcome",
    "Variant",
    "arrays_of",
    "assert_same",
    "decode",
    "make_case",
    "make_set",
    "make_spec",
    "prefix",
    "run",
]

Integers = NDArray[np.signedinteger[Any]]
WHOLE = Partition()
BIAS_MAX = 2.0**60  # a bias of any program has to stay below 2**61


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One of the attention programs."""

    dtype: DTypeName
    norm: Norm
    acc: Accumulation = "wide"
    exponential: Exponential = "lut256_lerp"

    def __str__(self) -> str:
        wraps = "-wrap" if self.acc == "wrap" else ""
        return f"{self.dtype}-{self.norm}{wraps}" + (
            "" if self.exponential == "lut256_lerp" else f"-{self.exponential}"
        )

    @property
    def is_softmax(self) -> bool:
        return self.norm in ("softmax", "softmax_online")

    def limits(self, *, dim: int, max_tokens: int) -> OperandLimits:
        """The greatest magnitudes that the accumulators can take: those of the types themselves if possible."""
        operands, sizes = operand_type(self.dtype), {"dim": dim, "max_tokens": max_tokens}
        limits = operand_limits(dtype=self.dtype, norm=self.norm, acc=self.acc, **sizes)
        lowest = OperandLimits(-operands.q_min, -operands.kv_min)
        try:
            check_ranges(
                dtype=self.dtype,
                norm=self.norm,
                acc=self.acc,
                **sizes,
                q_max=lowest.q,
                k_max=lowest.kv,
                v_max=lowest.kv,
            )
        except AccumulatorOverflow:
            return limits
        return lowest


def _variants(norm: Norm, *dtypes: DTypeName, acc: Accumulation = "wide") -> tuple[Variant, ...]:
    return tuple(Variant(dtype=dtype, norm=norm, acc=acc) for dtype in dtypes)


WRAP = _variants("div_d", "int4", "int8", "int16", "int32", acc="wrap")
WIDE = _variants("div_d", "int4", "int8", "int16", "int32")
ZSCORE = _variants("zscore", "int4", "int8", "int16", "int32")
LINEAR = _variants("zscore_linear", "int8", "int16")
SOFTMAX = _variants("softmax", "int4", "int8", "int16", "int32")
ONLINE = _variants("softmax_online", "int8", "int16")
VARIANTS = (*WRAP, *WIDE, *ZSCORE, *LINEAR, *SOFTMAX, *ONLINE)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Case:
    """Operands q [batch, heads, dim], k and v [batch, kv_heads, tokens, dim] of what a spec says."""

    spec: AttentionSpec
    q: Integers
    k: Integers
    v: Integers

    @property
    def batch(self) -> int:
        return self.k.shape[0]

    @property
    def tokens(self) -> int:
        return self.k.shape[2]

    def expected(
        self, *, partition: Partition = WHOLE, nr_tasklets: int = 17, positions: Sequence[int] | None = None
    ) -> Answers:
        """What DPUs must answer, by the integer references; positions: one per request, default the newest token."""
        places = [self.tokens - 1] * self.batch if positions is None else positions
        requests = [
            expected_answers(self.spec, q[None], k, v, partition=partition, nr_tasklets=nr_tasklets, position=place)
            for q, k, v, place in zip(self.q, self.k, self.v, places, strict=True)
        ]
        return rearrange(requests, lambda *pieces: np.concatenate(pieces))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outcome:
    """What one decode step left: answers, the counters of its launch, and every row of the timeline."""

    answers: Answers
    result: LaunchResult
    timeline: list[Row]


def make_spec(
    variant: Variant,
    *,
    dim: int,
    max_tokens: int,
    kv_heads: int = 1,
    queries: int = 1,
    logit_scale: float | None = None,
    probability_bits: int = 24,
    window: int | None = None,
    alibi: float = 0.0,
) -> AttentionSpec:
    """A spec with the greatest operands. Default logit scale: one that makes the weights of random operands differ.

    alibi: the largest bias, as a share of the largest score; the operands give up as much room for it.
    """
    heads, limits = kv_heads * queries, variant.limits(dim=dim, max_tokens=max_tokens)
    if alibi:
        limits = OperandLimits(max(1, limits.q // 2), limits.kv)
    bound = dim * limits.q * limits.kv
    scale = logit_scale or 6 * math.sqrt(dim) / max(1, bound)
    steepest = min(alibi * bound, BIAS_MAX) * scale / max_tokens
    return AttentionSpec(
        heads=heads,
        kv_heads=kv_heads,
        dim=dim,
        max_tokens=max_tokens,
        dtype=variant.dtype,
        norm=variant.norm,
        acc=variant.acc,
        q_max=limits.q,
        kv_max=limits.kv,
        logit_scales=(scale,) if variant.is_softmax or alibi else (),
        exponential=variant.exponential,
        probability_bits=probability_bits,
        window=window,
        alibi_slopes=tuple(steepest / (1 + head) for head in range(heads)) if alibi else (),
    )


def make_case(
    variant: Variant,
    *,
    tokens: int,
    dim: int,
    patterns: tuple[str, ...] = ("random",),
    batch: int = 1,
    queries: int = 1,
    seed: int = 0,
    max_tokens: int | None = None,
    logit_scale: float | None = None,
    probability_bits: int = 24,
    window: int | None = None,
    alibi: float = 0.0,
) -> Case:
    """A case with one KV head per pattern, and `queries` query heads on each."""
    spec = make_spec(
        variant,
        dim=dim,
        max_tokens=max_tokens or tokens,
        kv_heads=len(patterns),
        queries=queries,
        logit_scale=logit_scale,
        probability_bits=probability_bits,
        window=window,
        alibi=alibi,
    )
    operands, generator = spec.operands, np.random.default_rng(seed)
    q_range, kv_range = (
        (-spec.q_max, min(spec.q_max, operands.q_max)),
        (-spec.kv_max, min(spec.kv_max, operands.kv_max)),
    )
    requests = range(batch)
    q = [[query_of(p, generator, dim, *q_range) for p in patterns for _ in range(queries)] for _ in requests]
    k = [[rows_of(p, "k", generator, (tokens, dim), *kv_range) for p in patterns] for _ in requests]
    v = [[rows_of(p, "v", generator, (tokens, dim), *kv_range) for p in patterns] for _ in requests]
    return Case(spec=spec, q=np.array(q, operands.dtype), k=np.array(k, operands.dtype), v=np.array(v, operands.dtype))


def prefix(case: Case, tokens: int) -> Case:
    """The case with the first tokens of its context only."""
    return Case(spec=case.spec, q=case.q, k=case.k[:, :, :tokens], v=case.v[:, :, :tokens])


def make_set(
    case: Case,
    hardware: Hardware,
    *,
    partition: Partition = WHOLE,
    paging: Paging = "contiguous",
    nr_dpus: int | None = None,
    nr_tasklets: int = 17,
    options: EngineOptions | None = None,
    machine: Machine | None = None,
) -> AttentionSet:
    """DPUs for a case, by default of a machine of their own."""
    return AttentionSet(
        case.spec,
        batch=case.batch,
        partition=partition,
        paging=paging,
        nr_dpus=nr_dpus,
        nr_tasklets=nr_tasklets,
        machine=machine or Machine(hardware),
        options=options,
    )


def decode(case: Case, hardware: Hardware, *, positions: Sequence[int] | None = None, **how: Any) -> Answers:
    """Load K and V and decode one step; `how` as in `make_set`."""
    with make_set(case, hardware, **how) as attention:
        attention.load_kv(case.k, case.v)
        return attention.decode(case.q, positions=positions)


def run(case: Case, hardware: Hardware, **how: Any) -> Outcome:
    """As `decode`, with the counters of the launch, for cases that are one wave of one launch."""
    with make_set(case, hardware, **how) as attention:
        attention.load_kv(case.k, case.v)
        attention.push_q(case.q)
        (result,) = attention.launch()
        answers = attention.pull_o()
        return Outcome(answers=answers, result=result, timeline=list(attention.timeline.rows))


def arrays_of(answers: Answers) -> tuple[NDArray[Any], ...]:
    """The arrays of any answer."""
    return (answers,) if isinstance(answers, np.ndarray) else tuple(answers)


def assert_same(answers: Answers, expected: Answers, *, where: str = "") -> None:
    """Bit for bit, types and shapes included."""
    assert type(answers) is type(expected), where
    names: Iterable[str] = getattr(answers, "_fields", ("outputs",))
    for name, ours, theirs in zip(names, arrays_of(answers), arrays_of(expected), strict=True):
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape), f"{name}: {where}"
        np.testing.assert_array_equal(ours, theirs, err_msg=f"{name}: {where}")
