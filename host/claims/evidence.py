"""Decode steps on the emulated machine, for the checks: the one module of this package that drives AttentionSet.

Owns how operands become answers, counters and modelled times, and the runs that several claims share.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dpu_kernels.attention import DTypeName, Norm
from host.attention.answers import Answers
from host.attention.attention_set import AttentionSet
from host.attention.layout import Paging
from host.attention.partition import WHOLE, Partition
from host.attention.published import pim_attention
from host.attention.spec import AttentionSpec
from pim_runtime import EngineOptions, Machine, load_profile
from pim_runtime.counters import Counter
from pim_runtime.timeline import Row

from .inventory import Operands

__all__ = [
    "DTYPES",
    "WHOLE",
    "AttentionEvidence",
    "Cell",
    "Step",
    "answers",
    "answers_of_parts",
    "arrays_of",
    "decode",
    "grown_outputs",
    "wide_spec",
    "wrap_spec",
]

Integers = NDArray[np.signedinteger[Any]]
DTYPES: tuple[DTypeName, ...] = ("int32", "int16", "int8")
NR_TASKLETS = 17  # of the published measurements: a master and 16 workers
MACHINE = "seed-2023"  # of the published measurements: the chip of the default machine, with host calls of its own
PS_PER_US = 1_000_000


class Step(NamedTuple):
    """What a decode step of the published kernel left.

    outputs: [batch, heads, dim]. events: int64 [nr_dpus, counters], summed over phases and tasklets, columns as in
    `Counter`. rows: of the timeline, push, launch and pull.
    """

    outputs: Integers
    events: NDArray[np.int64]
    rows: tuple[Row, ...]

    @property
    def microseconds(self) -> float:
        """Modelled time of push, launch and pull."""
        return sum(row.duration_ps for row in self.rows) / PS_PER_US


class Cell(NamedTuple):
    """A cell of the published table, run on the emulator: modelled time, DPUs in use, distinct output elements."""

    microseconds: float
    nr_dpus: int
    outputs: tuple[int, ...]


def wide_spec(operands: Operands, norm: Norm, *, logit_scales: tuple[float, ...] = ()) -> AttentionSpec:
    """Exact arithmetic for any operands of this type and shape. Raises AccumulatorOverflow for types too wide."""
    return AttentionSpec(**_shape(operands), norm=norm, logit_scales=logit_scales)


def wrap_spec(operands: Operands) -> AttentionSpec:
    """The arithmetic of the published kernel, for operands of this type and shape."""
    return AttentionSpec(**_shape(operands), norm="div_d", acc="wrap")


def decode(
    operands: Operands,
    *,
    partition: Partition = WHOLE,
    paging: Paging = "contiguous",
    nr_tasklets: int = NR_TASKLETS,
) -> Step:
    """One step of the published kernel (div_d, wrapping), with counters and times."""
    with _ready(operands, wrap_spec(operands), partition, paging, nr_tasklets) as attention:
        before = len(attention.timeline)
        attention.push_q(operands.q)
        (launch,) = attention.launch()
        outputs = attention.pull_o()
        rows = tuple(attention.timeline.rows[before:])
    assert isinstance(outputs, np.ndarray)
    events: NDArray[np.int64] = launch.counters.rows.sum(axis=(1, 2))
    assert events.shape[1] == len(Counter)
    return Step(outputs=outputs, events=events, rows=rows)


def answers(
    operands: Operands,
    spec: AttentionSpec | None = None,
    *,
    partition: Partition = WHOLE,
    nr_tasklets: int = NR_TASKLETS,
    threads: int | None = None,
) -> Answers:
    """Answers [batch, heads, ...] of a step, parts merged; default: of the published kernel. threads: of the host."""
    spec, options = spec or wrap_spec(operands), EngineOptions(threads=threads)
    with _ready(operands, spec, partition, "contiguous", nr_tasklets, options) as attention:
        return attention.decode(operands.q)


def answers_of_parts(operands: Operands, spec: AttentionSpec, partition: Partition) -> Answers:
    """As `answers`, not merged: [parts, batch, heads, ...]."""
    with _ready(operands, spec, partition, "contiguous", NR_TASKLETS) as attention:
        attention.push_q(operands.q)
        attention.launch()
        return attention.pull_parts()


def grown_outputs(operands: Operands, *, loaded: int, paging: Paging) -> Integers:
    """Outputs of the published kernel after loading some tokens at once, and appending the others one by one."""
    start = Operands(operands.q, operands.k[:, :, :loaded], operands.v[:, :, :loaded])
    with _ready(start, wrap_spec(operands), WHOLE, paging, NR_TASKLETS) as attention:
        for token in range(loaded, operands.k.shape[2]):
            attention.append(operands.k[:, :, token], operands.v[:, :, token])
        outputs = attention.decode(operands.q)
    assert isinstance(outputs, np.ndarray)
    return outputs


def arrays_of(found: Answers) -> tuple[NDArray[Any], ...]:
    """The arrays of any answers."""
    return (found,) if isinstance(found, np.ndarray) else tuple(found)


class AttentionEvidence:
    """Runs at the published shape that several claims rest on, each done when it is first asked for."""

    def __init__(self) -> None:
        self._cells: dict[tuple[DTypeName, int, Partition], Cell] = {}

    def cell(self, dtype: DTypeName, batch: int, partition: Partition = WHOLE) -> Cell:
        """The published kernel (div_d, wrapping, all operands 1) at the published shape, one head or part per DPU.

        The largest, int32 at batch 32, has 4 GiB of K and V in the DPUs.
        """
        key = dtype, batch, partition
        if key not in self._cells:
            self._cells[key] = _run_cell(dtype, batch, partition)
        return self._cells[key]


@contextmanager
def _ready(
    operands: Operands,
    spec: AttentionSpec,
    partition: Partition,
    paging: Paging,
    nr_tasklets: int,
    options: EngineOptions | None = None,
) -> Iterator[AttentionSet]:
    """DPUs of a machine of their own with K and V loaded."""
    with AttentionSet(
        spec,
        batch=len(operands.k),
        partition=partition,
        paging=paging,
        nr_tasklets=nr_tasklets,
        machine=Machine(load_profile(MACHINE)),
        options=options,
    ) as attention:
        attention.load_kv(operands.k, operands.v)
        yield attention


def _shape(operands: Operands) -> dict[str, Any]:
    """Arguments of AttentionSpec: one KV head per query head, and magnitudes that no operand of the type exceeds."""
    _, heads, tokens, dim = operands.k.shape
    dtype, largest = operands.k.dtype.name, -int(np.iinfo(operands.k.dtype).min)
    return {
        "heads": heads,
        "kv_heads": heads,
        "dim": dim,
        "max_tokens": tokens,
        "dtype": dtype,
        "q_max": largest,
        "kv_max": largest,
    }


def _run_cell(dtype: DTypeName, batch: int, partition: Partition) -> Cell:
    table = pim_attention()
    q = np.ones((batch, table.heads, table.dim), dtype)
    # All heads are the same rows in memory: gigabytes at batch 32, if each had its own.
    k = v = np.broadcast_to(np.ones((table.tokens, table.dim), dtype), (batch, table.heads, table.tokens, table.dim))
    step = decode(Operands(q, k, v), partition=partition)
    return Cell(
        microseconds=step.microseconds,
        nr_dpus=len(step.events),
        outputs=tuple(int(value) for value in np.unique(step.outputs)),
    )
