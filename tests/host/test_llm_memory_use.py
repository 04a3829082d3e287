"""MUE: the formula on counters made up by hand, and the attention kernels as they ran."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from host.llm.attention_memory import attention_memory
from host.llm.memory_use import memory_use
from pim_runtime import EngineOptions, Machine
from pim_runtime.counters import NR_COUNTERS, Counter, LaunchCounters
from pim_runtime.report.roofline import dma_bytes_per_s

pytestmark = pytest.mark.quick

INTERPRETED = EngineOptions(engine="interpreted")


def counters_of(*phases: dict[Counter, int], nr_dpus: int = 1) -> LaunchCounters:
    """One tasklet, a row per phase."""
    rows = np.zeros((nr_dpus, len(phases), 1, NR_COUNTERS), np.int64)
    for index, phase in enumerate(phases):
        for counter, count in phase.items():
            rows[:, index, 0, counter] = count
    return LaunchCounters.of(rows)


def reads(number: int, size: int) -> dict[Counter, int]:
    return {Counter.READS: number, Counter.READ_BYTES: number * size}


def measured(norm, hardware, **changes):
    shape = {"tokens": 40, "dim": 16, "queries": 1, "nr_tasklets": 5} | changes
    return attention_memory(norm, **shape, machine=Machine(hardware), options=INTERPRETED)


def test_the_largest_dmas_and_nothing_else_are_perfect(hardware):
    use = memory_use("copy", counters_of(reads(3, 2048)), hardware, phases=[0], minimal_bytes=Fraction(3 * 2048))
    assert use.io_share == 1
    assert use.engine_mue == pytest.approx(100, rel=1e-12)
    assert use.kernel_mue < 100


def test_small_dmas_and_repeated_reads_are_not(hardware):
    use = memory_use("copy", counters_of(reads(64, 64)), hardware, phases=[0], minimal_bytes=Fraction(1024))
    best, small = dma_bytes_per_s(hardware, 2048)[0], dma_bytes_per_s(hardware, 64)[0]
    assert use.io_share == 1 / 4
    assert use.engine_mue == pytest.approx(100 / 4 * small / best, rel=1e-12)


def test_reads_and_writes_have_their_own_peaks(hardware):
    both = reads(2, 2048) | {Counter.WRITES: 1, Counter.WRITE_BYTES: 2048}
    use = memory_use("copy", counters_of(both), hardware, phases=[0], minimal_bytes=Fraction(3 * 2048))
    assert (use.read_bytes, use.write_bytes, use.moved_bytes) == (4096, 2048, 6144)
    assert use.engine_mue == pytest.approx(100, rel=1e-12)


def test_a_kernel_that_the_engine_bounds_has_one_mue(hardware):
    """Many tasklets that only read: the engine is what they wait for."""
    rows = np.zeros((1, 1, 16, NR_COUNTERS), np.int64)
    rows[..., Counter.READS], rows[..., Counter.READ_BYTES] = 100, 100 * 2048
    use = memory_use("copy", LaunchCounters.of(rows), hardware, phases=[0], minimal_bytes=Fraction(1))
    assert use.kernel_s == use.engine_s
    assert use.kernel_mue == use.engine_mue


def test_instructions_lengthen_the_kernel_alone(hardware):
    few, many = (
        memory_use(
            "work",
            counters_of(reads(1, 8) | {Counter.SLOTS: slots}),
            hardware,
            phases=[0],
            minimal_bytes=Fraction(8),
        )
        for slots in (1, 10_000)
    )
    assert few.engine_mue == many.engine_mue
    assert few.kernel_mue > many.kernel_mue


def test_only_the_phases_asked_for_count(hardware):
    counters = counters_of(reads(1, 8), reads(1, 2048), reads(5, 16))
    use = memory_use("one", counters, hardware, phases=[1], minimal_bytes=Fraction(2048))
    assert use.moved_bytes == 2048
    assert use.engine_mue == pytest.approx(100, rel=1e-12)


@pytest.mark.parametrize(
    ("counters", "phases", "message"),
    [
        (counters_of(reads(1, 8), nr_dpus=2), [0], "counters of 2 DPUs"),
        (counters_of(reads(1, 8)), [1], "phases 0 to 0, and not 1"),
        (counters_of({Counter.SLOTS: 5}), [0], r"no DMA in phases \[0\]"),
    ],
)
def test_what_cannot_be_rated_is_refused(hardware, counters, phases, message):
    with pytest.raises(ValueError, match=message):
        memory_use("x", counters, hardware, phases=phases, minimal_bytes=Fraction(1))


def test_operators_of_the_kernel_with_scores_in_mram(hardware):
    """D of every operator by hand: 4 workers, 40 tokens of 16 int8 elements, scores of int32 in groups of 8."""
    found = measured("softmax", hardware)
    score, softmax, context = found.operators
    assert [use.name for use in found.operators] == ["score", "softmax", "context"]
    rows, scores, part = 40 * 16, 40 * 4, 16 * 8
    assert (score.read_bytes, score.write_bytes) == (rows + 4 * 16, scores)
    assert (softmax.read_bytes, softmax.write_bytes) == (scores, scores)
    assert (context.read_bytes, context.write_bytes) == (rows + scores + 4 * part, 4 * part + part + 16)
    assert score.minimal_bytes == 16 + rows + scores
    assert softmax.minimal_bytes == 2 * scores
    assert context.minimal_bytes == scores + rows + part
    assert found.whole.minimal_bytes == 16 + 2 * rows + part
    assert found.whole.moved_bytes == sum(use.moved_bytes for use in found.operators)


def test_the_online_kernel_moves_no_scores(hardware):
    online, in_mram = measured("softmax_online", hardware), measured("softmax", hardware)
    assert online.operators == ()
    assert online.whole.minimal_bytes == in_mram.whole.minimal_bytes
    assert in_mram.whole.moved_bytes - online.whole.moved_bytes == 4 * 40 * 4 - 8  # and one more statistic
    assert in_mram.whole.engine_mue < online.whole.engine_mue


@pytest.mark.parametrize("norm", ["softmax", "softmax_online"])
@pytest.mark.parametrize(("tokens", "dim", "queries"), [(1, 8, 1), (9, 16, 1), (24, 8, 3)])
def test_no_kernel_uses_more_than_there_is(hardware, norm, tokens, dim, queries):
    found = measured(norm, hardware, tokens=tokens, dim=dim, queries=queries)
    for use in (found.whole, *found.operators):
        assert use.minimal_bytes <= use.moved_bytes
        assert 0 < use.kernel_mue <= use.engine_mue <= 100


def test_another_clock_prices_the_same_bytes_differently(hardware):
    slow, fast = (measured("softmax", hardware.with_values({"pipeline.clock_mhz": mhz})).whole for mhz in (350, 700))
    assert slow.moved_bytes == fast.moved_bytes
    assert slow.engine_s == pytest.approx(2 * fast.engine_s)
    assert slow.engine_mue == pytest.approx(fast.engine_mue)
