"""Vector add, reduction and scan: right results on both engines, and the instructions that their listings have."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpu_kernels.calibration import RESULT_ELEMS, Argument, listing, reduction_program, scan_program, vector_add_program
from pim_runtime import DpuSet, EngineOptions, Machine, load_profile
from pim_runtime.counters import Counter
from pim_runtime.device import uint16, uint32, uint64
from pim_runtime.symbols import HEAP_NAME

KINDS = (uint16, uint32, uint64)
PROGRAMS = {"vec": vector_add_program, "red": reduction_program, "scan": scan_program}
MACHINE = Machine(load_profile("upmem-v1a"))


def launched(kernel, kind, counts, operands, *, nr_tasklets, nr_blocks, options=None):
    """(what lies behind the operands, counters of the launch); operands: [nr_arrays, nr_elems]."""
    array_elems = operands.shape[1]
    block_elems = array_elems // (nr_tasklets * nr_blocks)
    arguments = np.zeros((1, len(Argument)), np.uint32)
    arguments[0, Argument.BLOCKS] = nr_blocks
    arguments[0, Argument.BLOCK_ELEMS] = block_elems
    arguments[0, Argument.BLOCK_BYTES] = block_elems * kind.itemsize
    arguments[0, Argument.TASKLET_BYTES] = nr_blocks * block_elems * kind.itemsize
    arguments[0, Argument.ARRAY_BYTES] = operands[0].nbytes
    with DpuSet(1, machine=MACHINE, options=options) as dpus:
        dpus.load(PROGRAMS[kernel](kind, counts), nr_tasklets=nr_tasklets)
        dpus.copy("arguments", arguments)
        dpus.copy(HEAP_NAME, operands.reshape(1, -1))
        (result,) = dpus.exec()
        behind = np.zeros((1, nr_tasklets * RESULT_ELEMS if kernel == "red" else array_elems), kind.dtype)
        dpus.copy(behind, HEAP_NAME, offset=operands.nbytes)
        return behind[0], result.counters


def random_operands(kernel, kind, nr_elems, seed=0):
    raw = np.random.default_rng(seed).bytes((1 if kernel == "scan" else 2) * nr_elems * kind.itemsize)
    return np.frombuffer(raw, kind.dtype).reshape(-1, nr_elems)


def check_result(kernel, operands, behind, nr_tasklets):
    if kernel == "vec":
        assert np.array_equal(behind, operands[0] + operands[1])
    elif kernel == "scan":
        assert np.array_equal(behind, np.cumsum(operands[0], dtype=operands.dtype))
    else:
        of_tasklet = operands.reshape(2, nr_tasklets, -1).sum(axis=(0, 2), dtype=operands.dtype)
        assert np.array_equal(behind[::RESULT_ELEMS], of_tasklet)


@pytest.mark.parametrize("counts", ["automatic", "listing"])
@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("kernel", PROGRAMS)
@settings(max_examples=5)
@given(
    nr_tasklets=st.integers(1, 24),
    nr_blocks=st.integers(1, 5),
    block_groups=st.integers(1, 16),
    seed=st.integers(0, 9),
)
def test_results_equal_numpys(kernel, kind, counts, nr_tasklets, nr_blocks, block_groups, seed):
    block_elems = block_groups * 8 // kind.itemsize
    operands = random_operands(kernel, kind, nr_tasklets * nr_blocks * block_elems, seed)
    behind, _ = launched(kernel, kind, counts, operands, nr_tasklets=nr_tasklets, nr_blocks=nr_blocks)
    check_result(kernel, operands, behind, nr_tasklets)


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("kernel", PROGRAMS)
def test_interpreted_engine_gives_the_same_results_and_counters(kernel, kind):
    operands = random_operands(kernel, kind, 3 * 2 * 8)
    shape = {"nr_tasklets": 3, "nr_blocks": 2}
    compiled, counted = launched(kernel, kind, "automatic", operands, **shape)
    interpreted, recounted = launched(
        kernel, kind, "automatic", operands, **shape, options=EngineOptions(engine="interpreted")
    )
    check_result(kernel, operands, interpreted, 3)
    assert np.array_equal(compiled, interpreted)
    assert np.array_equal(counted.rows, recounted.rows)


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize(
    ("kernel", "passes", "reads", "writes"),
    [("vec", ["vector_add"], 2, 1), ("red", ["reduction"], 2, 0), ("scan", ["scan_sum", "scan_prefix"], 2, 1)],
)
def test_listing_counts_are_those_of_the_published_listings(kernel, passes, reads, writes, kind):
    """Slots and DMAs of one more block per tasklet; what happens once per tasklet drops out of the difference."""
    nr_tasklets, block_elems, after = 4, 16, {}
    for nr_blocks in (3, 5):
        operands = random_operands(kernel, kind, nr_tasklets * nr_blocks * block_elems)
        _, after[nr_blocks] = launched(kernel, kind, "listing", operands, nr_tasklets=nr_tasklets, nr_blocks=nr_blocks)
    listings = [listing(one, kind) for one in passes]
    per_block = {
        Counter.STATED: sum(one.block + block_elems * one.element for one in listings),
        Counter.SLOTS: 0,
        Counter.READS: reads,
        Counter.READ_BYTES: reads * block_elems * kind.itemsize,
        Counter.WRITES: writes,
        Counter.WRITE_BYTES: writes * block_elems * kind.itemsize,
    }
    for counter, amount in per_block.items():
        assert after[5].total(counter) - after[3].total(counter) == 2 * nr_tasklets * amount, counter.name


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("kernel", PROGRAMS)
def test_nothing_is_stated_with_automatic_counts(kernel, kind):
    operands = random_operands(kernel, kind, 2 * 2 * 8)
    _, counters = launched(kernel, kind, "automatic", operands, nr_tasklets=2, nr_blocks=2)
    assert counters.total(Counter.STATED) == 0
    assert counters.total(Counter.SLOTS) > 0


@pytest.mark.quick
def test_listings_are_those_of_the_specification():
    """Timing model 4.2: slots per element, and per block with the DMAs."""
    dmas = {"vector_add": 3, "reduction": 2, "scan_sum": 1, "scan_prefix": 2}
    printed = {"vector_add": (9, 10, 16), "reduction": (7, 10, 13), "scan_sum": (4, 5, 9), "scan_prefix": (6, 7, 13)}
    for one, (narrow, wide, block) in printed.items():
        assert [listing(one, kind).element for kind in KINDS] == [narrow, narrow, wide]
        assert {listing(one, kind).block + dmas[one] for kind in KINDS} == {block}
