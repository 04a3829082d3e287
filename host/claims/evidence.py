"""Decode steps on the emulated machine, for the checks: the one module of this package that drives AttentionSet.

Owns how operands become a step with outputs, counters and modelled times, and the runs that several claims share.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dpu_kernels.attention import Accumulation, Norm
from host.attention.attention_set import AttentionSet
from host.attention.published import pim_attention
from host.attention.softmax_plan import SoftmaxPlan
from host.attention.sums import SoftmaxSums
from pim_runtime import EngineOptions, Machine, load_profile
from pim_runtime.counters import Counter
from pim_runtime.machine import DEFAULT_PROFILE
from pim_runtime.timeline import Row

from .inventory import Operands

__all__ = ["DTYPES", "AttentionEvidence", "Cell", "Step", "decode"]

Integers = NDArray[np.signedinteger[Any]]
DTYPES = ("int32", "int16", "int8")
NR_TASKLETS = 17  # of the published measurements: a master and 16 workers
PS_PER_US = 1_000_000


class Step(NamedTuple):
    """What a decode step left.

    outputs: [batch, heads, dim], or sums with these leading axes. events: int64 [nr_dpus, counters], summed over phases
    and tasklets, columns as in `Counter`. rows: of the timeline, push, launch and pull.
    """

    outputs: Integers | SoftmaxSums
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


def decode(
    operands: Operands,
    *,
    norm: Norm = "div_d",
    acc: Accumulation = "wrap",
    plans: tuple[SoftmaxPlan, ...] = (),
    nr_tasklets: int = NR_TASKLETS,
    options: EngineOptions | None = None,
) -> Step:
    """Load K and V into a machine of its own, one head per DPU, and decode one step."""
    batch, heads, tokens, dim = operands.k.shape
    with AttentionSet(
        batch=batch,
        heads=heads,
        dim=dim,
        max_tokens=tokens,
        dtype=operands.k.dtype,
        norm=norm,
        acc=acc,
        operand_max=max(max(int(part.max()), -int(part.min())) for part in operands),
        plans=plans,
        nr_tasklets=nr_tasklets,
        machine=Machine(load_profile(DEFAULT_PROFILE)),
        options=options,
    ) as attention:
        attention.load_kv(operands.k, operands.v)
        loaded = len(attention.timeline)
        attention.push_q(operands.q)
        (launch,) = attention.dpus.exec()
        outputs = attention.pull_o()
        rows = tuple(attention.timeline.rows[loaded:])
    events: NDArray[np.int64] = launch.counters.rows.sum(axis=(1, 2))
    assert events.shape[1] == len(Counter)
    return Step(outputs=outputs, events=events, rows=rows)


class AttentionEvidence:
    """Runs at the published shape that several claims rest on, each done when it is first asked for."""

    def __init__(self) -> None:
        self._cells: dict[tuple[str, int], Cell] = {}

    def cell(self, dtype: str, batch: int) -> Cell:
        """The published kernel (div_d, wrapping, all operands 1) at the published shape, one head per DPU.

        The largest, int32 at batch 32, takes 6.5 GB: 4 GiB of K and V in the DPUs, and half of it on its way.
        """
        if (dtype, batch) not in self._cells:
            self._cells[dtype, batch] = _run_cell(dtype, batch)
        return self._cells[dtype, batch]


def _run_cell(dtype: str, batch: int) -> Cell:
    table = pim_attention()
    one = np.ones((), np.dtype(dtype).type)
    kv_shape = (batch, table.heads, table.tokens, table.dim)
    k = v = np.broadcast_to(one, kv_shape)  # gigabytes at batch 32, if every element had a place of its own
    step = decode(Operands(q=np.full((batch, table.heads, table.dim), one), k=k, v=v))
    assert isinstance(step.outputs, np.ndarray)
    return Cell(
        microseconds=step.microseconds,
        nr_dpus=len(step.events),
        outputs=tuple(int(value) for value in np.unique(step.outputs)),
    )
