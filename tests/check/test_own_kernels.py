"""The kernels of this repository are clean: what the checker says of them would be a mistake, theirs or its own."""

from __future__ import annotations

import numpy as np
import pytest
from kernels_for_tests import control, memory, output
from kernels_for_tests import synchronisation as sync
from kernels_for_tests.attention import VARIANTS, ZSCORE, decode, make_case
from kernels_for_tests.pruned import PrunedCase, pruned_run
from kernels_for_tests.running import run

from dpu_kernels.calibration import RESULT_ELEMS, Argument, reduction_program, scan_program, vector_add_program
from host.attention.partition import Partition
from pim_runtime import Check, DpuSet, EngineOptions, Machine
from pim_runtime.check import CheckSession
from pim_runtime.device import int16, uint16, uint32, uint64
from pim_runtime.symbols import HEAP_NAME

pytestmark = pytest.mark.filterwarnings("ignore::pim_runtime.CheckWarning")

OPTIONS = EngineOptions(engine="interpreted", timing="off")
NR_DPUS = 2


@pytest.fixture
def session():
    with CheckSession(Check(dpus=1, orders=2)).active() as active:
        yield active


def found(session):
    assert sum(checker.nr_checked for checker in session.checkers)
    return [(finding.kind, finding.symbol) for checker in session.checkers for finding in checker.findings]


def numbers(*values, dtype=np.int64):
    return np.tile(np.array(values, dtype), (NR_DPUS, 1))


CASES = {
    "scan": (sync.scan, {"rounds": numbers(2, dtype=np.int32), "values": numbers(*range(24))}, 1),
    "count under a mutex": (
        sync.count_together,
        {"strategy": numbers(sync.LOCK, dtype=np.int32), "rounds": numbers(3, dtype=np.int32)},
        1,
    ),
    "produce and consume": (sync.produce_and_consume, {"items": numbers(3, dtype=np.int32)}, 1),
    "pass a token": (sync.pass_token, {"rounds": numbers(2, dtype=np.int32)}, 1),
    "reduction": (
        memory.reduction,
        {"numbers": numbers(*range(24 * memory.BLOCK), dtype=np.int32), "limit": numbers(99, dtype=np.int32)},
        2,
    ),
    "some return": (control.some_return, {}, 2),
    "scaling": (control.scaling(int16, 3), {"vector": numbers(*range(64), dtype=np.int16)}, 1),
    "printing": (output.printing, {"value": numbers(5), "is_quiet": numbers(0)}, 2),
}


@pytest.mark.parametrize(("program", "inputs", "launches"), CASES.values(), ids=CASES)
def test_kernels_of_the_tests(session, hardware, program, inputs, launches):
    run(program, OPTIONS, hardware, nr_dpus=NR_DPUS, nr_tasklets=24, inputs=inputs, launches=launches)
    assert found(session) == []


@pytest.mark.parametrize("strategy", [sync.NO_LOCK, sync.TRYLOCK])
def test_kernels_of_the_tests_that_race(session, hardware, strategy):
    inputs = {"strategy": numbers(strategy, dtype=np.int32), "rounds": numbers(3, dtype=np.int32)}
    run(sync.count_together, OPTIONS, hardware, nr_dpus=NR_DPUS, inputs=inputs)
    assert ("race", "counter" if strategy == sync.NO_LOCK else "refusals") in found(session)


def test_a_kernel_that_remembers(session, hardware):
    run(memory.remember, OPTIONS, hardware, nr_dpus=NR_DPUS, inputs={"kept": numbers(1)}, launches=2)
    assert {kind for kind, _ in found(session)} == {"leftover"}


@pytest.mark.parametrize("kind", [uint16, uint32, uint64], ids=str)
@pytest.mark.parametrize("program", [vector_add_program, reduction_program, scan_program])
def test_kernels_of_the_calibration(session, hardware, program, kind):
    nr_tasklets, nr_blocks, block_elems = 3, 2, 8
    nr_elems = nr_tasklets * nr_blocks * block_elems
    nr_arrays = 1 if program is scan_program else 2
    arguments = np.zeros((1, len(Argument)), np.uint32)
    arguments[0, [Argument.BLOCKS, Argument.BLOCK_ELEMS]] = nr_blocks, block_elems
    arguments[0, Argument.BLOCK_BYTES] = block_elems * kind.itemsize
    arguments[0, Argument.TASKLET_BYTES] = nr_blocks * block_elems * kind.itemsize
    arguments[0, Argument.ARRAY_BYTES] = nr_elems * kind.itemsize
    operands = np.arange(nr_arrays * nr_elems, dtype=kind.dtype)[None]
    nr_results = nr_tasklets * RESULT_ELEMS if program is reduction_program else nr_elems
    with DpuSet(1, machine=Machine(hardware), options=OPTIONS) as dpus:
        dpus.load(program(kind, "automatic"), nr_tasklets=nr_tasklets)
        dpus.copy("arguments", arguments)
        dpus.copy(HEAP_NAME, operands)
        dpus.exec()
        dpus.exec()
        dpus.copy(np.zeros((1, nr_results), kind.dtype), HEAP_NAME, offset=operands.nbytes)
    assert found(session) == []


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_attention(session, hardware, variant):
    decode(make_case(variant, tokens=9, dim=12, seed=1), hardware, nr_tasklets=5, options=OPTIONS)
    assert found(session) == []


@pytest.mark.parametrize("keeps", [(), ("arguments", HEAP_NAME)])
def test_attention_in_two_launches_keeps_its_scores_on_purpose(hardware, keeps):
    """The statistics of the parts of a context meet on the host, then the second launch goes on where the first was."""
    case = make_case(ZSCORE[1], tokens=20, dim=12, seed=1)
    with CheckSession(Check(dpus=2, orders=1, keeps=keeps)).active() as session:
        decode(case, hardware, partition=Partition(parts=2), nr_tasklets=5, options=OPTIONS)
    kept = {(finding.kind, finding.symbol) for checker in session.checkers for finding in checker.findings}
    assert kept == (set() if keeps else {("leftover", "arguments"), ("leftover", HEAP_NAME)})


@pytest.mark.parametrize(
    ("norm", "queries", "dim"), [("softmax", 1, 6), ("div_d", 1, 6), ("zscore", 1, 6), ("softmax", 2, 300)]
)
def test_pruned_attention(session, hardware, norm, queries, dim):
    """Some tokens are kept, and of two queries another number by each; tables of wide heads have no room."""
    case = PrunedCase(norm=norm, queries=queries, dim=dim, tokens=17, theta=[10_000.0, 60_000.0][:queries])
    outcome = pruned_run(case, hardware, nr_tasklets=4, options=OPTIONS)
    assert 0 < outcome.kept.sum() < outcome.kept.size
    assert outcome.decision == ("tables" if queries == 1 else "multiply")
    assert found(session) == []
