"""The program of a bank: exact products and sums of any rows, and DMAs that read each row once, whatever is asked."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpu_kernels.gemv import ALL_ROWS, CHUNK_BYTES, LARGEST_SUMS, MAX_VECTORS, ROW_TYPES, row_bytes, row_elements
from host.attention.operands import pack_rows
from host.chip.emulated_banks import EmulatedBanks
from host.chip.traffic import Moved, Traffic
from pim_runtime import EngineOptions, Machine, load_profile

OFFSET = 1 << 20
INTERPRETED = EngineOptions(engine="interpreted")


def random_rows(generator, shape, row_type):
    low, high = (-8, 7) if row_type == "int4" else (-128, 127)
    return generator.integers(low, high, shape, np.int8, endpoint=True)


class Bench:
    """Banks with one matrix."""

    def __init__(self, rows, row_type, options, *, gap_bytes=0):
        nr_banks, count, length = rows.shape
        self.nbytes, self.elements = row_bytes(length, row_type), row_elements(length, row_type)
        packed = pack_rows(rows) if row_type == "int4" else rows.view(np.uint8)
        stored = np.full((nr_banks, count, self.nbytes + gap_bytes), 0xA5, np.uint8)
        stored[..., : self.nbytes] = 0
        stored[..., : packed.shape[2]] = packed
        self.traffic, self.rows = Traffic(), rows.astype(np.int64)
        self.banks = EmulatedBanks(
            nr_banks, traffic=self.traffic, machine=Machine(load_profile("upmem-v1a")), options=options
        )
        self.banks.resident(OFFSET, stored.reshape(nr_banks, -1))
        self.matrix = self.banks.enter(
            offset=OFFSET,
            rows=np.full(nr_banks, count),
            row_bytes=self.nbytes,
            stride=self.nbytes + gap_bytes,
            per_byte=ROW_TYPES[row_type],
        )

    def dots(self, vectors, used, span):
        """Products of the first `used` rows of each bank."""
        padded = np.zeros((*vectors.shape[:2], self.elements), np.int8)
        padded[..., : vectors.shape[2]] = vectors
        return self.banks.dots("weights", self.matrix, padded, rows=used, span=span, moved=Moved())

    def sums(self, weights, used):
        return self.banks.sums("kv", self.matrix, weights, rows=used, elements=self.elements, moved=Moved())

    def read_bytes(self, purpose):
        return self.traffic.now()[purpose].read_bytes


def check(nr_banks, count, length, row_type, vectors, seed, options, *, gap_bytes=0):
    """Products and sums of all rows, and of a different number of rows in each bank."""
    generator = np.random.default_rng(seed)
    rows = random_rows(generator, (nr_banks, count, length), row_type)
    bench, span = Bench(rows, row_type, options, gap_bytes=gap_bytes), (count + 7) & -8
    used = generator.integers(0, count, nr_banks, endpoint=True)
    given_vectors = random_rows(generator, (nr_banks, vectors, length), "int8")
    expected = np.einsum("bnc,brc->bnr", given_vectors.astype(np.int64), bench.rows)
    found = bench.dots(given_vectors, ALL_ROWS, span)
    assert np.array_equal(found[..., :count], expected)
    assert bench.read_bytes("weights") == nr_banks * count * bench.nbytes
    found = bench.dots(given_vectors, used, span)
    for bank, part in enumerate(used):
        assert np.array_equal(found[bank, :, :part], expected[bank, :, :part])
    if vectors * 16 <= LARGEST_SUMS:
        weights = generator.integers(0, 1 << 24, (nr_banks, vectors, span), np.int32, endpoint=True)
        found = bench.sums(weights, used)
        for bank, part in enumerate(used):
            sums = weights[bank, :, :part].astype(np.int64) @ bench.rows[bank, :part]
            assert np.array_equal(found[bank, :, :length], sums)
        assert bench.read_bytes("kv") == int(used.sum()) * bench.nbytes
    bench.banks.free()


@pytest.mark.quick
@settings(max_examples=8)
@given(
    count=st.integers(1, 20),
    length=st.integers(1, 40),
    row_type=st.sampled_from(["int4", "int8"]),
    vectors=st.integers(1, 3),
    gap_bytes=st.sampled_from([0, 8]),
    seed=st.integers(0, 99),
)
def test_any_shape(count, length, row_type, vectors, gap_bytes, seed):
    check(2, count, length, row_type, vectors, seed, INTERPRETED, gap_bytes=gap_bytes)


@pytest.mark.parametrize(
    ("count", "length", "row_type", "vectors"),
    [
        (130, 64, "int4", MAX_VECTORS),
        (1, 1, "int4", 1),
        (9, 2 * CHUNK_BYTES + 1, "int4", 8),  # a second DMA of a row, and of a single column
        (33, 3 * CHUNK_BYTES, "int8", 4),
        (17, LARGEST_SUMS + 8, "int8", 1),  # a second pass of sums, of eight columns
        (300, 128, "int8", 8),
    ],
)
def test_shapes_at_every_limit_on_the_compiled_engine(count, length, row_type, vectors):
    check(3, count, length, row_type, vectors, 0, EngineOptions())


def test_extreme_operands_do_not_overflow():
    """-128 x -8 of 2**11 elements; sums of 64 rows with the largest weight of softmax."""
    bench = Bench(np.full((1, 64, 2048), -8, np.int8), "int4", EngineOptions())
    products = bench.dots(np.full((1, 1, 2048), -128, np.int8), ALL_ROWS, 64)
    assert (products == 2048 * 1024).all()
    assert (bench.sums(np.full((1, 1, 64), 1 << 24, np.int32), ALL_ROWS) == -8 * 64 << 24).all()


@pytest.mark.quick
def test_a_message_that_is_too_long_is_refused():
    bench = Bench(np.zeros((1, 8, 2048), np.int8), "int4", INTERPRETED)
    with pytest.raises(ValueError, match=r"a message of 18,464 bytes: a bank has room for 16,416"):
        bench.dots(np.zeros((1, 9, 2048), np.int8), ALL_ROWS, 8)
