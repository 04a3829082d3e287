"""The published measurement: batch 2 of 32 heads, 4096 tokens x 128, all operands 1, 17 tasklets (C0-01, C0-10 to -24).

Outputs are exact. Times are derived here from the formulas and constants of the timing model with exact fractions,
apart from the code under test, and lie close to the published cells (PIM-attention, README tables, batch 2).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import floor

import pytest

from host.attention.experiment import run_workload
from host.attention.workload import Method, synthetic_workload
from pim_runtime import EngineOptions, Machine
from pim_runtime.timing.cost import PS_PER_US

HEADS, TOKENS, DIM, NR_TASKLETS = 32, 4096, 128, 17
WORKERS = NR_TASKLETS - 1
TOKENS_PER_WORKER, GROUPS_PER_WORKER = TOKENS // WORKERS, TOKENS // 8 // WORKERS
CLOCK_MHZ, REISSUE_CYCLES, DMA_SLOTS, ALLOC_SLOTS = 350, 11, 1 + Fraction(3, 2), 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What is known of one dtype: the output, slots per score and per weighted row (timing-model 10.2), the cell."""

    output: int
    itemsize: int
    dot_slots: int
    axpy_slots: int
    row_slots: int
    microseconds: int
    tolerance: float

    @property
    def score_slots(self) -> int:
        return DIM * self.dot_slots + self.row_slots

    @property
    def sum_slots(self) -> int:
        return DIM * self.axpy_slots + self.row_slots


# All scores are 128. As int8 they wrap to -128, which gives -1, and 4096 times -1 wraps to 0.
PUBLISHED = {
    "int8": Published(
        output=0, itemsize=1, dot_slots=8, axpy_slots=9, row_slots=30, microseconds=28_759, tolerance=0.06
    ),
    "int16": Published(
        output=4096, itemsize=2, dot_slots=8, axpy_slots=9, row_slots=30, microseconds=27_666, tolerance=0.03
    ),
    "int32": Published(
        output=4096, itemsize=4, dot_slots=15, axpy_slots=17, row_slots=48, microseconds=50_595, tolerance=0.01
    ),
}


@pytest.fixture(scope="module", params=PUBLISHED)
def dtype(request):
    return request.param


def decoded(hardware, dtype, *, batch, heads, data="ones"):
    """One step of the published shape."""
    workload = synthetic_workload(
        Method(dtype=dtype, norm="div_d", acc="wrap"),
        batch=batch,
        heads=heads,
        tokens=TOKENS,
        dim=DIM,
        data=data,
        seed=1,
    )
    return run_workload(
        workload,
        nr_tasklets=NR_TASKLETS,
        machine=Machine(hardware),
        options=EngineOptions(),
        advance=lambda steps: None,
    )


@pytest.fixture(scope="module")
def outcome(hardware, dtype):
    """On 64 DPUs: batch 2 of the published table."""
    return decoded(hardware, dtype, batch=2, heads=HEADS)


def test_outputs(outcome, dtype):
    assert outcome.outputs.shape == (1, 2, HEADS, DIM)
    assert outcome.outputs.dtype == dtype
    assert (outcome.outputs == PUBLISHED[dtype].output).all()


def test_times_are_those_of_the_formulas(outcome, dtype):
    push, run, pull = outcome.timeline.rows[outcome.decode_rows :]
    assert [(cost.reason, cost.duration_ps) for cost in run.costs] == [
        ("launch", 77_300_000),  # 45 us + 17 * 1.9 us
        ("compute", picoseconds(compute_cycles(PUBLISHED[dtype]))),
        ("dma", picoseconds(kernel_cycles(PUBLISHED[dtype]) - compute_cycles(PUBLISHED[dtype]))),
        ("barrier", picoseconds(Fraction(4 * 3172))),  # 2861 cycles at 16 tasklets, 5349 at 24
    ]
    # setup of one call on one rank, then bytes at 5.043 + 0.2587 and 2.486 + 0.2316 GB/s
    nbytes = 64 * DIM * PUBLISHED[dtype].itemsize
    assert [cost.duration_ps for cost in push.costs] == [21_000_000, nearest(nbytes * 1000 / Fraction("5.3017"))]
    assert [cost.duration_ps for cost in pull.costs] == [30_600_000, nearest(nbytes * 1000 / Fraction("2.7176"))]


def test_times_are_close_to_the_published_ones(outcome, dtype):
    steps = outcome.timeline.rows[outcome.decode_rows :]
    modelled_us = sum(row.duration_ps for row in steps) / PS_PER_US
    assert modelled_us == pytest.approx(PUBLISHED[dtype].microseconds, rel=PUBLISHED[dtype].tolerance)


def test_kernel_time_does_not_depend_on_the_number_of_dpus_in_a_rank(hardware, outcome, dtype):
    few = decoded(hardware, dtype, batch=1, heads=3)
    assert few.timeline.rows[few.decode_rows + 1].costs == outcome.timeline.rows[outcome.decode_rows + 1].costs


def test_random_int32_operands_take_up_to_three_times_as_long(hardware):
    """Multiplies take as many steps as the smaller operand has bits (C0-29)."""
    ones, random = (
        decoded(hardware, "int32", batch=1, heads=1, data=data).timeline.duration_ps("launch")
        for data in ("ones", "random")
    )
    assert 1.3 < random / ones < 2.9


def picoseconds(cycles: Fraction) -> int:
    return nearest(cycles * PS_PER_US / CLOCK_MHZ)


def nearest(exact: Fraction) -> int:
    """The nearest integer; halves go up."""
    return floor(exact + Fraction(1, 2))


def compute_cycles(published: Published) -> Fraction:
    return sum((phase.compute for phase in phases(published)), Fraction(0))


def kernel_cycles(published: Published) -> Fraction:
    return sum((max(phase.compute, phase.memory) for phase in phases(published)), Fraction(0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One phase of `tasklets` that all do the same: slots, and sizes of reads and writes in bytes, per tasklet."""

    tasklets: int
    slots: int
    reads: list[int]
    writes: list[int]
    allocs_of_all: int = 0
    allocs: int = 0

    @property
    def issued(self) -> int:
        return self.slots + len(self.reads) + len(self.writes) + ALLOC_SLOTS * self.allocs

    @property
    def compute(self) -> Fraction:
        """The pipeline issues one slot per cycle, a tasklet one per 11 cycles."""
        nr_dmas = len(self.reads) + len(self.writes)
        pipeline = self.tasklets * (self.slots + DMA_SLOTS * nr_dmas) + ALLOC_SLOTS * self.allocs_of_all
        return max(pipeline, Fraction(REISSUE_CYCLES * self.issued))

    @property
    def memory(self) -> Fraction:
        """A tasklet also waits for its own DMAs, and all wait for the one engine."""
        stall = dma_cycles(self.reads, "58", "0.535") + dma_cycles(self.writes, "34", "0.535")
        engine = dma_cycles(self.reads, "38.2", "0.5458") + dma_cycles(self.writes, "33.5", "0.545")
        return max(REISSUE_CYCLES * self.issued + stall, self.tasklets * engine)


def dma_cycles(sizes: list[int], setup: str, per_byte: str) -> Fraction:
    return len(sizes) * Fraction(setup) + sum(sizes) * Fraction(per_byte)


def phases(published: Published) -> tuple[Phase, ...]:
    row, group = DIM * published.itemsize, 8 * published.itemsize
    groups, tokens = [group] * GROUPS_PER_WORKER, [row] * TOKENS_PER_WORKER
    return (
        # the master reserves what tasklets share; that is nothing, for one query without statistics
        Phase(tasklets=1, slots=0, reads=[], writes=[], allocs_of_all=1, allocs=1),
        Phase(  # scores: Q once, one K row per token; 5 buffers of every tasklet, aligned with 2 more
            tasklets=WORKERS,
            slots=TOKENS_PER_WORKER * published.score_slots,
            reads=[row, *tokens],
            writes=groups,
            allocs_of_all=7 * NR_TASKLETS,
            allocs=7,
        ),
        Phase(tasklets=WORKERS, slots=12 * TOKENS_PER_WORKER, reads=groups, writes=groups),  # division by 128
        Phase(  # weighted sums
            tasklets=WORKERS,
            slots=TOKENS_PER_WORKER * published.sum_slots,
            reads=[*groups, *tokens],
            writes=[row],
        ),
        Phase(  # the master merges
            tasklets=1,
            slots=WORKERS * published.sum_slots,
            reads=[row] * WORKERS,
            writes=[row],
            allocs_of_all=1,
            allocs=1,
        ),
    )
