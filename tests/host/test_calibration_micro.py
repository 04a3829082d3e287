"""Microbenchmarks of one DPU: rates that follow from the constants of the profile by hand."""

from __future__ import annotations

import pytest

from host.calibration import micro
from host.calibration.published_micro import ARITHMETIC_MOPS, DMA_SATURATED_CYCLES, DMA_SIZES_BYTES, STREAM_MB_PER_S
from pim_runtime import EngineOptions, Machine, load_profile
from pim_runtime.device import int32, int64

MACHINE = Machine(load_profile("upmem-v1a"))
EXACT = EngineOptions(timing="exact")
CLOCK_MHZ = 350
REISSUE = 11


@pytest.fixture(autouse=True)
def fewer_elements(monkeypatch):
    """A quarter of the published elements; the scalar stays."""
    monkeypatch.setattr(micro, "NR_ELEMENTS", 1 << 18)


def mops(kind, operation, nr_tasklets):
    return micro.arithmetic_mops(kind, operation, nr_tasklets, machine=MACHINE, options=EXACT)


@pytest.mark.parametrize(("kind", "slots"), [(int32, 6), (int64, 7)], ids=str)
@pytest.mark.parametrize("operation", ["add", "sub"])
def test_additions_take_six_slots_and_seven_of_64_bits(kind, slots, operation):
    """Address, load, operation (two of 64 bits), store, two of the loop; a block adds less than one element."""
    assert mops(kind, operation, 11) == pytest.approx(CLOCK_MHZ / slots, rel=0.002)


@pytest.mark.parametrize("operation", ["add", "mul", "div"])
def test_throughput_grows_up_to_11_tasklets(operation):
    rates = {n: mops(int32, operation, n) for n in (1, 10, 11, 24)}
    assert rates[10] == pytest.approx(10 * rates[1], rel=0.001)
    assert rates[11] == pytest.approx(11 * rates[1], rel=0.001)
    assert rates[24] == pytest.approx(rates[11], rel=0.001)


@pytest.mark.parametrize(
    ("kind", "operation"), [cell for cell in ARITHMETIC_MOPS if cell != ("int64", "div")], ids=" ".join
)
def test_throughput_is_that_of_the_published_benchmark(kind, operation):
    """But for 64-bit divisions, of which no timing beyond one small quotient is published."""
    kinds = {"int32": int32, "int64": int64}
    assert mops(kinds[kind], operation, 16) == pytest.approx(ARITHMETIC_MOPS[kind, operation], rel=0.05)


@pytest.mark.parametrize("direction", ["read", "write"])
@pytest.mark.parametrize("size_bytes", DMA_SIZES_BYTES)
def test_dma_takes_its_occupancy_with_many_tasklets_and_its_stall_with_one(direction, size_bytes):
    dma = MACHINE.hardware.dma
    occupancy, stall = {
        "read": (dma.read_occupancy, dma.read_stall),
        "write": (dma.write_occupancy, dma.write_stall),
    }[direction]

    def cycles(line):
        return float(line.setup_cycles + line.cycles_per_byte * size_bytes)

    free, busy = cycles(stall) + REISSUE, cycles(occupancy)  # one tasklet may still wait for the engine
    one, many = (micro.dma_cycles(direction, size_bytes, n, machine=MACHINE, options=EXACT) for n in (1, 16))
    assert one == pytest.approx(max(free, busy), rel=0.01)
    assert many == pytest.approx(busy, rel=0.001)


def test_dma_is_slower_with_more_bytes_and_close_to_the_published_saturation():
    of_sizes = [micro.dma_cycles("read", size, 16, machine=MACHINE, options=EXACT) for size in DMA_SIZES_BYTES]
    assert of_sizes == sorted(of_sizes)
    for modelled, published in zip(of_sizes, DMA_SATURATED_CYCLES["read"], strict=True):
        assert published is None or modelled == pytest.approx(published, rel=0.04)


@pytest.mark.parametrize("operation", STREAM_MB_PER_S)
def test_stream_is_that_of_the_published_benchmark(operation):
    rate = micro.stream_mb_per_s(operation, 16, machine=MACHINE, options=EXACT)
    assert rate == pytest.approx(STREAM_MB_PER_S[operation], rel=0.03)
    assert micro.stream_mb_per_s(operation, 1, machine=MACHINE, options=EXACT) == pytest.approx(rate / 11, rel=0.01)
