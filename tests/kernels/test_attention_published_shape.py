"""The published measurement: batch 2 of 32 heads, 4096 tokens x 128, all operands 1, 17 tasklets (C0-01, C0-10 to -24).

Outputs and DMAs are exact, and the inner loops take what timing-model 4.3 says. Times are derived here from counters
with exact fractions, apart from the code under test, and lie close to the published cells (PIM-attention, README).
"""

from __future__ import annotations

import linecache
from dataclasses import dataclass, replace
from fractions import Fraction
from math import floor, log

import numpy as np
import pytest

from dpu_kernels.attention import rows as row_functions
from host.attention.experiment import run_workload
from host.attention.published import pim_attention
from host.attention.workload import Method, synthetic_workload
from pim_runtime import EngineOptions, Machine
from pim_runtime.counters import Counter
from pim_runtime.timing import price
from pim_runtime.timing.cost import PS_PER_US

HEADS, TOKENS, DIM, NR_TASKLETS, NR_DPUS, DPUS_PER_RANK = 32, 4096, 128, 17, 64, 64
WORKERS = NR_TASKLETS - 1
TOKENS_PER_WORKER, GROUPS_PER_WORKER = TOKENS // WORKERS, TOKENS // 8 // WORKERS
CLOCK_MHZ, REISSUE_CYCLES, DMA_LOAD_SLOTS = 350, 11, Fraction(3, 2)
# A 16-bit multiply of operands in 0 to 255 is one slot and of others seven, a 32-bit one with a multiplier of one bit
# eight. The master's int16 multiplies are long, because every worker's sums are 256.
SLOTS_OF = {
    **dict.fromkeys((Counter.SLOTS, Counter.STATED, Counter.MUL16, Counter.MUL32_STEPS), 1),
    **dict.fromkeys((Counter.READS, Counter.WRITES), 1),
    Counter.MUL16_LONG: 6,
    Counter.MUL32: 8,
    Counter.ALLOCS: 12,
}
BEGIN, SCORES, DIVISION, SUMS, MERGE = range(5)  # phases


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What is known of one dtype: the output, slots per product of both loops (timing-model 4.3), how it multiplies.

    sum_slots: int8 takes one more than the rules say (timing-model 10.5). row_slots: of a scaled addition, beside its
    products: call and return, three moves, the start of the loop, and for a called multiply a frame with four pairs.
    """

    output: int
    itemsize: int
    dot_slots: int
    sum_slots: int
    row_slots: int
    multiply: Counter | None  # None: an instruction like any other

    @property
    def multiply_slots(self) -> int:
        return SLOTS_OF[self.multiply] if self.multiply is not None else 0


# All scores are 128. As int8 they wrap to -128, which gives -1, and 4096 times -1 wraps to 0.
PUBLISHED = {
    "int8": Published(output=0, itemsize=1, dot_slots=8, sum_slots=9 + 1, row_slots=6, multiply=None),
    "int16": Published(output=4096, itemsize=2, dot_slots=8, sum_slots=9, row_slots=6, multiply=Counter.MUL16),
    "int32": Published(output=4096, itemsize=4, dot_slots=15, sum_slots=17, row_slots=6 + 12, multiply=Counter.MUL32),
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


@pytest.fixture(scope="module")
def launch(outcome):
    """Rows of push, run and pull; run is the launch."""
    return outcome.timeline.rows[outcome.decode_rows + 1]


@pytest.fixture(scope="module")
def counted(launch):
    """Counters of a DPU that counted what depends on data, [phases, tasklets, counters]."""
    (counters,) = launch.work.counters
    (pattern,) = counters.patterns[counters.measured]
    return pattern


def test_dmas(counted, dtype):
    """S0-11, phase by phase: all workers alike, and at the end the master."""
    row, group = DIM * PUBLISHED[dtype].itemsize, 8 * PUBLISHED[dtype].itemsize
    expected = np.zeros((5, NR_TASKLETS, 4), np.int64)  # reads, their bytes, writes, their bytes
    groups = GROUPS_PER_WORKER, GROUPS_PER_WORKER * group
    query_and_keys = 1 + TOKENS_PER_WORKER, (1 + TOKENS_PER_WORKER) * row
    expected[SCORES, 1:] = (*query_and_keys, *groups)
    expected[DIVISION, 1:] = (*groups, *groups)
    expected[SUMS, 1:] = (groups[0] + TOKENS_PER_WORKER, groups[1] + TOKENS_PER_WORKER * row, 1, row)
    expected[MERGE, 0] = (WORKERS, WORKERS * row, 1, row)
    dmas = [Counter.READS, Counter.READ_BYTES, Counter.WRITES, Counter.WRITE_BYTES]
    np.testing.assert_array_equal(counted[..., dmas], expected)


def test_a_product_of_a_score_takes_what_listings_say(launch, counted, dtype):
    """By index: two addresses, two loads, multiply and add in one line, two slots of the loop in the line above."""
    published, products = PUBLISHED[dtype], NR_DPUS * TOKENS * DIM
    loop, body = (
        counts_of_line(launch, row_functions, text)
        for text in ("for i in range(sizes.dim or len(a)):", "total = accumulator(total + a[i] * b[i])")
    )
    assert loop == {Counter.SLOTS: 2 * products + NR_DPUS * TOKENS}  # and the index is set to 0
    multiplies = {published.multiply: products} if published.multiply is not None else {}
    assert body == {Counter.SLOTS: (published.dot_slots - 2 - published.multiply_slots) * products} | multiplies
    if published.multiply is not None:
        assert (counted[SCORES, 1:, published.multiply] == TOKENS_PER_WORKER * DIM).all()


def test_a_row_of_a_sum_takes_what_is_stated_and_its_multiplies(counted, dtype):
    published = PUBLISHED[dtype]
    stated = published.row_slots + DIM * (published.sum_slots - published.multiply_slots)
    assert (counted[SUMS, 1:, Counter.STATED] == TOKENS_PER_WORKER * stated).all()
    assert counted[..., Counter.STATED].sum() == counted[SUMS, 1:, Counter.STATED].sum()
    for counter in (Counter.MUL16, Counter.MUL32):
        products = TOKENS_PER_WORKER * DIM * (counter is published.multiply)
        address = counter is Counter.MUL32  # of the worker's sums
        assert (counted[SUMS, 1:, counter] == products + address).all()


def test_all_other_slots_are_few(counted, dtype):
    """Around its products a row of K or V takes 30 to 50 slots (timing-model 10.2), its DMA included."""
    for phase, rest in ((SCORES, DIM * PUBLISHED[dtype].dot_slots), (SUMS, DIM * PUBLISHED[dtype].sum_slots)):
        around = slots_of(counted[phase, 1:]) / TOKENS_PER_WORKER - rest
        assert (around > 25).all()
        assert (around < 60).all()


def test_times_are_those_of_the_formulas(outcome, counted, dtype):
    push, run, pull = outcome.timeline.rows[outcome.decode_rows :]
    compute = sum((compute_cycles(rows) for rows in counted), Fraction(0))
    kernel = sum((max(compute_cycles(rows), memory_cycles(rows)) for rows in counted), Fraction(0))
    assert [(cost.reason, cost.duration_ps) for cost in run.costs] == [
        ("launch", 77_300_000),  # 45 us + 17 * 1.9 us
        ("compute", picoseconds(compute)),
        ("dma", picoseconds(kernel - compute)),
        ("barrier", picoseconds(Fraction(4 * 3172))),  # 2861 cycles at 16 tasklets, 5349 at 24
    ]
    # 64 DPUs take 20.26 and 32.58 us for 8 bytes each, 27.58 and 53.18 us for 512; in between, linear in logarithms
    share = log(DIM * PUBLISHED[dtype].itemsize / 8) / log(512 / 8)
    for row, shortest_us, longest_us in ((push, 20.26, 27.58), (pull, 32.58, 53.18)):
        expected_ps = PS_PER_US * shortest_us * (longest_us / shortest_us) ** share
        assert row.duration_ps == pytest.approx(expected_ps, abs=1)
        assert row.cost_ps("transfer_setup") == round(PS_PER_US * shortest_us)


def test_all_published_cells_are_within_five_percent(hardware, outcome, dtype):
    """Larger batches are the same work on more ranks."""
    for batch, published_us in pim_attention().cells[dtype]["upmem"].items():
        nr_dpus = batch * HEADS
        more = {"nr_ranks": -(-nr_dpus // DPUS_PER_RANK)}
        push, run, pull = (row.work for row in outcome.timeline.rows[outcome.decode_rows :])
        works = replace(push, nr_dpus=nr_dpus, **more), replace(run, **more), replace(pull, nr_dpus=nr_dpus, **more)
        modelled_us = sum(cost.duration_ps for work in works for cost in price(work, hardware)) / PS_PER_US
        assert modelled_us == pytest.approx(published_us, rel=0.05), f"batch {batch}"


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


def counts_of_line(launch, module, text):
    """Counters that are not 0 of the only source line with this text."""
    (profile,) = launch.work.lines
    (line,) = [
        row
        for row in profile.rows
        if row.filename == module.__file__ and linecache.getline(row.filename, row.line).strip() == text
    ]
    return {Counter(column): count for column, count in enumerate(line.counts.tolist()) if count}


def slots_of(rows):
    """Issue slots of every tasklet; nothing was counted that has no price here."""
    free = {Counter.READ_BYTES, Counter.WRITE_BYTES, Counter.BARRIERS}
    assert {Counter(column) for column in np.flatnonzero(rows.any(axis=0))} <= SLOTS_OF.keys() | free
    return sum(rows[:, counter] * slots for counter, slots in SLOTS_OF.items())


def compute_cycles(rows) -> Fraction:
    """Of one phase: the pipeline issues one slot per cycle, a tasklet one per 11 cycles."""
    slots, nr_dmas = slots_of(rows), rows[:, [Counter.READS, Counter.WRITES]].sum()
    return max(int(slots.sum()) + DMA_LOAD_SLOTS * int(nr_dmas), Fraction(REISSUE_CYCLES * int(slots.max())))


def memory_cycles(rows) -> Fraction:
    """A tasklet also waits for its own DMAs, and all wait for the one engine."""
    slots = slots_of(rows)
    stalled = [
        REISSUE_CYCLES * int(s) + dma_cycles(r, "58", "34", "0.535", "0.535") for s, r in zip(slots, rows, strict=True)
    ]
    return max(*stalled, sum((dma_cycles(r, "38.2", "33.5", "0.5458", "0.545") for r in rows), Fraction(0)))


def dma_cycles(row, read: str, write: str, per_read_byte: str, per_write_byte: str) -> Fraction:
    """Of all DMAs of a tasklet in a phase."""
    counts = ((Counter.READS, read), (Counter.WRITES, write))
    nbytes = ((Counter.READ_BYTES, per_read_byte), (Counter.WRITE_BYTES, per_write_byte))
    return sum((int(row[counter]) * Fraction(cycles) for counter, cycles in (*counts, *nbytes)), Fraction(0))


def picoseconds(cycles: Fraction) -> int:
    return nearest(cycles * PS_PER_US / CLOCK_MHZ)


def nearest(exact: Fraction) -> int:
    """The nearest integer; halves go up."""
    return floor(exact + Fraction(1, 2))
