"""What is not zero in a memory is taken and put back, whatever its size is in pages."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pim_runtime.blocks import BLOCK_BYTES, Blocks, blocks_of_pages

pytestmark = pytest.mark.quick

SIZES = st.sampled_from([8, BLOCK_BYTES - 8, BLOCK_BYTES, BLOCK_BYTES + 8, 5 * BLOCK_BYTES, 5 * BLOCK_BYTES + 2048])


@st.composite
def memories(draw, nr_dpus=None, bytes_per_dpu=None):
    """uint8 [nr_dpus, bytes_per_dpu], zero but for a few bytes."""
    shape = nr_dpus or draw(st.integers(1, 4)), bytes_per_dpu or draw(SIZES)
    memory = np.zeros(shape, np.uint8)
    for at in draw(st.lists(st.integers(0, memory.size - 1), max_size=8)):
        memory.reshape(-1)[at] = draw(st.integers(1, 255))
    return memory


def numbers_of(memory, page_bytes=BLOCK_BYTES, first_byte=0):
    """Blocks in all pages of a memory that are not zero."""
    touched = np.flatnonzero(memory.reshape(-1))
    return blocks_of_pages(
        np.unique((touched + first_byte) // page_bytes),
        page_bytes=page_bytes,
        first_byte=first_byte,
        nr_bytes=memory.size,
        bytes_per_dpu=memory.shape[1],
    )


@given(memory=memories())
def test_only_blocks_that_are_not_zero_are_taken(memory):
    blocks = Blocks.taken(memory, numbers_of(memory))
    assert blocks.contents.any(axis=1).all()
    assert (np.diff(blocks.numbers) > 0).all()
    for dpu, row in enumerate(memory):
        assert (blocks.read(dpu, 0, len(row)) == row).all()
        assert (blocks.of_dpu(dpu).read(0, 0, len(row)) == row).all()


@given(memory=memories(), data=st.data())
def test_any_bytes_can_be_read(memory, data):
    dpu = data.draw(st.integers(0, len(memory) - 1))
    address = data.draw(st.integers(0, memory.shape[1]))
    nr_bytes = data.draw(st.integers(0, memory.shape[1] - address))
    found = Blocks.taken(memory, numbers_of(memory)).read(dpu, address, nr_bytes)
    assert found.tolist() == memory[dpu, address : address + nr_bytes].tolist()


@given(saved=memories(), data=st.data())
def test_putting_back_overwrites_everything(saved, data):
    now = data.draw(memories(*saved.shape))
    Blocks.taken(saved, numbers_of(saved)).put(now, numbers_of(now))
    assert (now == saved).all()


@given(
    memory=memories(),
    page_bytes=st.sampled_from([1024, 4096, 16384, 65536]),
    first_byte=st.integers(0, 40).map((8).__mul__),
)
def test_blocks_are_found_in_pages_of_any_size(memory, page_bytes, first_byte):
    numbers = numbers_of(memory, page_bytes, first_byte)
    assert (np.diff(numbers) > 0).all()
    assert (Blocks.taken(memory, numbers).numbers == Blocks.taken(memory, numbers_of(memory)).numbers).all()
