"""Tiles of products on a GPU against a search through all of them, and what must hold of any tiling."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host.llm.operators import Matmul
from host.llm.quantisation import FP16, QuantConfig
from host.machines.gpu_tiles import L1_SIDES, busy_share, tile_matmul
from host.machines.gpu_times import all_reduce_s, fc_kernel, link_s, norm_s, operations_per_s
from host.machines.gpus import gpu_servers

pytestmark = pytest.mark.quick

SERVER = gpu_servers().load("dgx-a100-hbm3")
GPUS = SERVER.gpus
sizes = st.integers(1, 3000)
widths = st.sampled_from((4, 8, 16, 32))


def searched(rows, inner, columns, weight_bytes, activation_bytes):
    """S1-2, word by word: (rows, columns, share, DRAM bytes, L2 bytes)."""

    def traffic(tile_rows, tile_columns):
        activations = math.ceil(columns / tile_columns) * rows * inner + rows * columns
        return activations * activation_bytes + math.ceil(rows / tile_rows) * inner * columns * weight_bytes

    def resident(tile_rows, tile_columns, depth):
        activations = tile_rows * depth + tile_rows * tile_columns
        return activations * activation_bytes + tile_columns * depth * weight_bytes

    best = None
    for side in L1_SIDES:
        for other in L1_SIDES:
            tile_rows, tile_columns = min(side, rows), min(other, columns)
            if resident(tile_rows, tile_columns, 32) > GPUS.l1_bytes:
                continue
            blocks = math.ceil(rows / tile_rows) * math.ceil(columns / tile_columns)
            share = blocks / (math.ceil(blocks / GPUS.multiprocessors) * GPUS.multiprocessors)
            cost = traffic(tile_rows, tile_columns) * (1 / share) ** 2
            if best is None or cost < best[0]:
                best = (cost, tile_rows, tile_columns, share)
    _, tile_rows, tile_columns, share = best
    dram = min(
        traffic(wide_rows, wide_columns)
        for wide_rows in [*range(tile_rows, rows + 1, tile_rows), rows]
        for wide_columns in [*range(tile_columns, columns + 1, tile_columns), columns]
        if resident(wide_rows, wide_columns, inner / 64) <= GPUS.l2_bytes
        or (wide_rows, wide_columns) == (tile_rows, tile_columns)
    )
    return tile_rows, tile_columns, share, dram, traffic(tile_rows, tile_columns)


def tiling(rows, inner, columns, quant=FP16, fidelity="tile"):
    return tile_matmul(
        GPUS,
        rows=rows,
        inner=inner,
        columns=columns,
        weight_bits=quant.weight_bits,
        activation_bits=quant.activation_bits,
        fidelity=fidelity,
    )


@settings(max_examples=25)
@given(
    rows=st.integers(1, 300), inner=st.integers(1, 60_000), columns=st.integers(1, 2000), weights=widths, others=widths
)
def test_tiles_are_the_best_of_all(rows, inner, columns, weights, others):
    found = tiling(rows, inner, columns, QuantConfig(weights, 16, others))
    expected = searched(rows, inner, columns, weights / 8, others / 8)
    assert (found.rows, found.columns, found.busy_share, found.dram_bytes, found.l2_bytes) == pytest.approx(expected)


@pytest.mark.parametrize(("rows", "inner", "columns"), [(854, 12288, 6144), (1024, 12288, 4608), (54, 6144, 12288)])
def test_tiles_of_the_largest_products(rows, inner, columns):
    found = tiling(rows, inner, columns)
    expected = searched(rows, inner, columns, 2, 2)
    assert (found.rows, found.columns, found.busy_share, found.dram_bytes, found.l2_bytes) == pytest.approx(expected)


@given(rows=sizes, inner=sizes, columns=sizes)
def test_nothing_passes_memory_less_than_once(rows, inner, columns):
    once = 2 * (rows * inner + inner * columns + rows * columns)
    found, simple = tiling(rows, inner, columns), tiling(rows, inner, columns, fidelity="simple")
    assert simple.dram_bytes == simple.l2_bytes == once
    assert found.dram_bytes >= once
    assert found.l2_bytes >= found.dram_bytes
    assert 0 < found.busy_share <= 1 == simple.busy_share
    matmul = Matmul(rows, inner, columns)
    assert fc_kernel(GPUS, matmul, FP16, "tile").seconds >= fc_kernel(GPUS, matmul, FP16, "simple").seconds


def test_sizes_that_are_not_whole_lie_between_those_that_are():
    part = tiling(64, 4096, Fraction(4096, 3))
    assert tiling(64, 4096, 1365).dram_bytes < part.dram_bytes < tiling(64, 4096, 1366).dram_bytes


def test_a_product_of_a_billion_rows_has_tiles():
    assert tiling(10**9, 128, 128).dram_bytes >= 2 * 10**9 * 256


@given(st.integers(1, 100_000))
def test_blocks_fill_waves(blocks):
    share = busy_share(GPUS, blocks, "tile")
    assert 1 / GPUS.multiprocessors <= share <= 1
    assert (share == 1) == (blocks % GPUS.multiprocessors == 0)
    assert busy_share(GPUS, blocks, "simple") == 1


@given(batch=st.integers(1, 2000))
def test_all_reduces_of_gpt3(batch):
    """S1-5 in numbers: 8.145 + 0.0372 B ms per token, until the link's bandwidth is the limit."""
    ms = 1e3 * 2 * 96 * all_reduce_s(SERVER.link, GPUS, 2 * 12288 * batch)
    bandwidth_ms = 1e3 * 2 * 96 * 7 * 2 * 12288 * batch / 8 / 300e9
    assert ms == pytest.approx(max(8.145 + 0.0372 * batch, bandwidth_ms), rel=2e-3)


def test_kernels_that_pass_once():
    assert norm_s(SERVER.kernels, GPUS, 0) == pytest.approx(6.87e-6)
    assert norm_s(SERVER.kernels, GPUS, 10**6) == pytest.approx(6.87e-6 + 1.6e-6 * 1555 / 3352)
    assert link_s(SERVER.link.gb_per_s, 3 * 10**9) == pytest.approx(0.01)
    assert operations_per_s(GPUS, 8) == 2 * operations_per_s(GPUS, 16) == pytest.approx(2 * 0.8 * 312e12)
