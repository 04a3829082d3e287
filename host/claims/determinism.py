"""Checks that need the emulated machine and no particular workload: exact equality, and the same bits (B-9, B-10)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import product
from typing import NamedTuple, get_args

import numpy as np

from dpu_kernels.attention import Norm
from host.attention.answers import Answers
from host.attention.expected import expected_answers
from host.attention.partition import Partition, PartitionLayout
from host.attention.reference import attention_div_d
from host.attention.spec import AttentionSpec

from .evidence import DTYPES, WHOLE, answers, arrays_of, decode, wide_spec, wrap_spec
from .inventory import Operands, operand_inventory
from .judging import Answer, Holds

__all__ = ["determinism_checks"]

DIM = 128
WIDE_DIM = 24
TASKLETS, THREADS = (2, 5, 12, 17, 24), (1, 2, 3)
SPLIT = Partition(3)
SPLITS = tuple(Partition(parts, layout) for parts, layout in product((2, 3, 16), get_args(PartitionLayout)))
LOGIT_SCALE = 2.0**-12  # logits of up to some hundreds


def determinism_checks() -> Mapping[str, Callable[[], Answer]]:
    """The checks by claim id."""
    return {"B-9": wrapping_kernels_equal_the_closed_form, "B-10": answers_are_the_same_bits}


def wrapping_kernels_equal_the_closed_form() -> Answer:
    """B-9: adversarial operands over the whole type, on DPUs."""
    different = compared = 0
    for dtype, tokens in product(DTYPES, (1, 2, 7, 8, 9, 17, 200)):
        operands = _operands(dtype, tokens, DIM)
        expected = attention_div_d(*operands, acc="wrap")
        for nr_tasklets in (2, 17, 24):
            outputs = decode(operands, nr_tasklets=nr_tasklets).outputs
            different += int(np.not_equal(outputs, expected).sum())
            compared += expected.size
    return Holds(passed=not different, detail=f"{compared - different:,} of {compared:,} elements equal")


def answers_are_the_same_bits() -> Answer:
    """B-10: tasklets, then host threads, with whole and split heads; then every partition against the whole head.

    All are compared with the integer references, which know neither tasklets nor threads, statistics included.
    """
    different = compared = runs = 0
    for run in (*_schedules(), *_partitions()):
        for ours, theirs in zip(arrays_of(run.answers), arrays_of(run.expected), strict=True):
            different, compared = different + int(np.not_equal(ours, theirs).sum()), compared + theirs.size
        runs += 1
    return Holds(
        passed=not different,
        detail=f"{compared - different:,} of {compared:,} elements equal in {runs} runs (tasklets {TASKLETS}, "
        f"host threads {THREADS}, parts (2, 3, 16), block and interleave)",
    )


class _Run(NamedTuple):
    answers: Answers
    expected: Answers


def _schedules() -> Iterator[_Run]:
    """The same answers for any number of tasklets and threads."""
    cases = (*_wrapping(), *_wide("div_d", "zscore", "softmax"))
    for (operands, spec), partition in product(cases, (WHOLE, SPLIT)):
        expected = _expected(operands, spec, partition)
        for nr_tasklets in TASKLETS:
            yield _Run(answers(operands, spec, partition=partition, nr_tasklets=nr_tasklets), expected)
        for threads in THREADS:
            yield _Run(answers(operands, spec, partition=partition, threads=threads), expected)


def _partitions() -> Iterator[_Run]:
    """The same answers however the tokens are dealt out."""
    for operands, spec in (*_wrapping(), *_wide("div_d", "zscore_linear")):
        expected = _expected(operands, spec, WHOLE)
        for partition in (WHOLE, *SPLITS):
            yield _Run(answers(operands, spec, partition=partition), expected)


def _wrapping() -> Iterator[tuple[Operands, AttentionSpec]]:
    for dtype in DTYPES:
        operands = _operands(dtype, 43, DIM)
        yield operands, wrap_spec(operands)


def _wide(*norms: Norm) -> Iterator[tuple[Operands, AttentionSpec]]:
    for norm, tokens in product(norms, (7, 200)):
        operands = _operands("int8", tokens, WIDE_DIM)
        yield operands, wide_spec(operands, norm, logit_scales=(LOGIT_SCALE,))


def _operands(dtype: str, tokens: int, dim: int) -> Operands:
    info = np.iinfo(dtype)
    return operand_inventory(dtype, tokens=tokens, dim=dim, lowest=int(info.min), highest=int(info.max))


def _expected(operands: Operands, spec: AttentionSpec, partition: Partition) -> Answers:
    q, k, v = operands
    return expected_answers(spec, q, k[0], v[0], partition=partition)
