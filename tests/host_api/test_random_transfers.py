"""Random transfers on MRAM and WRAM symbols against plain NumPy arrays, in and out of every rule."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pim_runtime import DpuProgram, DpuSet, Machine, load_profile
from pim_runtime.device import me, uint8
from pim_runtime.errors import InvalidMramAccessError, InvalidSymbolAccessError, InvalidWramAccessError

pytestmark = pytest.mark.quick

NR_DPUS = 5
SIZES = {"first": 37, "second": 64, "near": 42, "tail": 24}  # bytes; `first` and `near` end inside a word
RULES = {
    "first": (8, InvalidMramAccessError),
    "second": (8, InvalidMramAccessError),
    "near": (4, InvalidWramAccessError),
    "tail": (4, InvalidWramAccessError),
}

program = DpuProgram("memories")
program.mram_noinit("first", uint8, SIZES["first"])
program.mram("second", uint8, SIZES["second"])
program.host("near", uint8, SIZES["near"])
program.host("tail", uint8, SIZES["tail"])


@program.kernel
def idle(t):
    me(t)


def whole(symbol):
    """Bytes of a symbol that one transfer reaches."""
    return SIZES[symbol] // RULES[symbol][0] * RULES[symbol][0]


def offsets_and_sizes(symbol):
    inside = st.integers(-1, SIZES[symbol] + 9)
    granule = RULES[symbol][0]
    aligned = inside.map(lambda number: number // granule * granule)
    return st.tuples(st.just(symbol), st.one_of(aligned, aligned, inside), st.one_of(aligned, aligned, inside))


PLACES = st.sampled_from(list(SIZES)).flatmap(offsets_and_sizes)
PARTS = st.sampled_from(["all", 0, 3])
HOST_SIDES = st.sampled_from(["broadcast", "array", "list", "list with holes"])
STEPS = st.lists(st.tuples(st.sampled_from(["write", "read"]), PLACES, PARTS, HOST_SIDES), min_size=1, max_size=12)


@pytest.fixture(scope="module")
def dpus(interpreted):
    """One set for all examples."""
    machine = Machine(load_profile("upmem-v1a"))
    with DpuSet(NR_DPUS, machine=machine, options=interpreted, binary=program) as dpus:
        yield dpus


def expected_error(symbol, offset, size):
    granule, misaligned = RULES[symbol]
    if offset < 0 or size < 0 or offset + size > SIZES[symbol]:
        return InvalidSymbolAccessError
    return misaligned if offset % granule or size % granule else None


def host_side(shape, data):
    """The host's side of a transfer, and its row per DPU (None for a DPU that is left out)."""
    if shape == "broadcast":
        buffer = data[0].copy()
        return buffer, [buffer] * len(data)
    rows = [row.copy() for row in data]
    if shape == "list with holes" and len(rows) > 1:
        rows[::2] = [None] * len(rows[::2])
    elif shape == "array":
        array = data.copy()
        return array, list(array)
    return rows, rows


@settings(max_examples=150, deadline=None)
@given(steps=STEPS, seed=st.integers(0, 1 << 30))
def test_transfers_against_a_model(dpus, steps, seed):
    random = np.random.default_rng(seed)
    model = {name: random.integers(0, 256, (NR_DPUS, whole(name)), np.uint8) for name in SIZES}
    for name, contents in model.items():
        dpus.copy(name, contents)
    for direction, (symbol, offset, size), part, shape in steps:
        first, target = (0, dpus) if part == "all" else (part, dpus.dpus()[part])
        data = random.integers(0, 256, (len(target), max(size, 0)), np.uint8)
        host, rows = host_side("array" if (direction, shape) == ("read", "broadcast") else shape, data)
        sides = (symbol, host) if direction == "write" else (host, symbol)
        error = expected_error(symbol, offset, size)
        if error is not None:
            with pytest.raises(error):
                target.copy(*sides, size=size, offset=offset)
            continue
        target.copy(*sides, size=size, offset=offset)
        for dpu, row in enumerate(rows, first):
            cells = model[symbol][dpu, offset : offset + size]
            if row is not None and direction == "write":
                cells[:] = row
            elif row is not None:
                np.testing.assert_array_equal(row, cells)
    for name, contents in model.items():
        seen = np.zeros_like(contents)
        dpus.copy(seen, name)
        np.testing.assert_array_equal(seen, contents, err_msg=name)
