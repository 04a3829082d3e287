"""The published table: its cells as printed, and the arithmetic on them (C0-25 to C0-27, C0-30, C0-31)."""

from __future__ import annotations

import pytest

from host.attention import published
from host.claims.registry import load_registry

pytestmark = pytest.mark.quick

# The document's own text, so that a slip in the shipped file shows.
PRINTED = {
    "int32": """
        CPU-1 thread   36149  71122  144240  292320  575002
        CPU-2 thread   31808  50524  89443   167569  320905
        CPU-4 thread   20115  35302  67075   129761  255217
        CPU-8 thread   17562  34796  68711   135376  270380
        CPU-16 thread  19967  38184  74054   143600  285429
        CPU-32 thread  45081  57341  90032   162256  307577
        UPMEM          50595  50698  50733   51366   51326""",
    "int16": """
        CPU-1 thread   13432  26075  51847   104472  226658
        CPU-4 thread   8826   17243  33434   65890   130330
        CPU-8 thread   9388   18220  36184   70694   139735
        UPMEM          27666  27701  27785   28171   28656""",
    "int8": """
        CPU-1 thread   9792   17157  33279   67277   134062
        CPU-4 thread   6050   11352  20818   34323   65852
        CPU-8 thread   5016   9254   17418   34908   68823
        UPMEM          28759  28814  28854   29104   29764""",
}
SPEEDUPS = {
    "int32": [0.3471, 0.6863, 1.3221, 2.5262, 4.9725],
    "int16": [0.3190, 0.6225, 1.2033, 2.3389, 4.5481],
    "int8": [0.1744, 0.3212, 0.6037, 1.1793, 2.2125],
}


@pytest.mark.parametrize("dtype", PRINTED)
def test_every_cell_is_the_printed_one(dtype):
    table = published.pim_attention()
    rows = table.cells[dtype]
    printed = [line.split() for line in PRINTED[dtype].strip().splitlines()]
    assert [[str(time) for time in row.values()] for row in rows.values()] == [line[-5:] for line in printed]
    assert all(tuple(row) == table.batches == (2, 4, 8, 16, 32) for row in rows.values())
    assert list(rows)[-1] == "upmem"
    assert [f"CPU-{threads}" for threads in published.cpu_threads(dtype).values()] == [line[0] for line in printed[:-1]]


def test_there_are_75_cells():
    table = published.pim_attention()
    assert sum(len(row) for rows in table.cells.values() for row in rows.values()) == 75
    assert (table.heads, table.tokens, table.dim) == (32, 4096, 128)
    assert {"E0-3", "E0-4", "E0-5", "E0-6", "E0-8", "E0-9"} <= set(table.errors) <= set(load_registry().document_errors)


@pytest.mark.parametrize("dtype", SPEEDUPS)
def test_speedups_over_the_best_cpu_row(dtype):
    ours = [published.speedup(dtype, batch) for batch in published.pim_attention().batches]
    assert ours == pytest.approx(SPEEDUPS[dtype], rel=1e-3)
    assert ours[-1] == pytest.approx(SPEEDUPS[dtype][-1], rel=1e-4)


def test_speedup_over_one_thread():
    assert published.speedup("int32", 32, "one_thread") == 575002 / 51326
    assert published.baseline_us("int8", 16) == 34323  # four threads beat eight here, and eight beat four at batch 8
    assert published.baseline_us("int8", 8) == 17418


def test_first_batch_that_wins():
    assert {dtype: published.crossover(dtype) for dtype in SPEEDUPS} == {"int32": 8, "int16": 8, "int8": 16}
    assert published.first_win({2: 0.5, 4: 1.0}) is None
    assert published.first_win({32: 3.0, 8: 1.5, 4: 1.0}) == 8


def test_bytes_and_rates():
    assert published.kv_bytes("int32", 32) == 4 * 2**30
    assert published.kv_bytes("int8", 2) == 2**26
    assert published.achieved_gb_per_s("int32", 32, "cpu_4_threads") == pytest.approx(16.83, rel=1e-3)
    assert published.achieved_gb_per_s("int32", 32, "upmem") == pytest.approx(83.68, rel=1e-3)


def test_the_table_cannot_be_changed():
    table = published.pim_attention()
    with pytest.raises(TypeError):
        table.cells["int8"]["upmem"][32] = 1
    with pytest.raises(AttributeError):
        table.heads = 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: published.speedup("int64", 2), "no published measurement of 'int64': there are int32, int16, int8"),
        (lambda: published.speedup("int8", 3), "no published measurement at batch 3: there are 2, 4, 8, 16, 32"),
        (lambda: published.achieved_gb_per_s("int8", 2, "cpu_2_threads"), "no published int8 row 'cpu_2_threads'"),
        (lambda: published.kv_bytes("int4", 2), "no published measurement of 'int4'"),
        (lambda: published.speedup("int8", 2, "gpu"), "baseline 'gpu'"),
    ],
)
def test_cells_that_there_are_not(call, message):
    with pytest.raises(ValueError, match=message):
        call()
