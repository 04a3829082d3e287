"""Which pages of reserved memory were touched: as Linux says, and as reading everything says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pim_runtime import memory
from pim_runtime.memory import PAGE_BYTES, Reservation

pytestmark = pytest.mark.quick

NR_PAGES = 40


@pytest.fixture(params=["told by Linux", "read"])
def source(request, monkeypatch):
    """Both ways to find out."""
    if request.param == "read":
        monkeypatch.setattr(memory, "PAGE_MAP", Path("/proc/self/no-such-file"))
    return request.param


@pytest.fixture
def small_chunks(monkeypatch):
    """Several chunks in few pages, none of which is whole at the end."""
    monkeypatch.setattr(memory, "CHUNK_PAGES", 7)


@pytest.fixture
def reserved():
    """`reserved(nr_bytes)` reserves memory until the test ends."""
    reservations = []

    def reserve(nr_bytes):
        reservations.append(Reservation(nr_bytes))
        return reservations[-1]

    yield reserve
    for reservation in reservations:
        reservation.release()


@pytest.mark.usefixtures("source")
def test_untouched_memory_has_no_pages(reserved):
    memory = reserved(NR_PAGES * PAGE_BYTES)
    assert memory.resident_pages(0, NR_PAGES * PAGE_BYTES).tolist() == []
    assert memory.resident_pages(0, 0).tolist() == []


@pytest.mark.usefixtures("source", "small_chunks")
@given(touched=st.sets(st.integers(0, NR_PAGES - 1)), first=st.integers(0, NR_PAGES), nr_pages=st.integers(0, NR_PAGES))
def test_touched_pages_are_found(touched, first, nr_pages):
    memory = Reservation(NR_PAGES * PAGE_BYTES)
    try:
        for page in touched:
            memory.array[page * PAGE_BYTES + 37 * page % PAGE_BYTES] = 1
        end = min(NR_PAGES, first + nr_pages)
        found = memory.resident_pages(first * PAGE_BYTES, (end - first) * PAGE_BYTES)
        assert found.tolist() == sorted(touched & set(range(first, end)))
        assert found.dtype == np.intp
    finally:
        memory.release()


@pytest.mark.usefixtures("source")
def test_bytes_inside_a_page_name_the_whole_page(reserved):
    memory = reserved(4 * PAGE_BYTES + 8)
    memory.array[[0, 2 * PAGE_BYTES, 4 * PAGE_BYTES + 7]] = 1
    assert memory.resident_pages(PAGE_BYTES - 1, 1).tolist() == [0]
    assert memory.resident_pages(PAGE_BYTES + 1, PAGE_BYTES).tolist() == [2]
    assert memory.resident_pages(0, 4 * PAGE_BYTES + 8).tolist() == [0, 2, 4]


def test_160_gib_are_looked_through_page_by_page(reserved):
    memory = reserved(160 << 30)
    pages = [0, 1, 65_535, 65_536, 12_345_678, (160 << 30) // PAGE_BYTES - 1]
    memory.array[np.array(pages) * PAGE_BYTES + 4_000] = 255
    assert memory.resident_pages(0, 160 << 30).tolist() == pages


def test_a_view_that_outlives_its_memory_sees_zeros():
    reservation = Reservation(4 * PAGE_BYTES)
    view = reservation.array[:8]
    view[:] = 7
    reservation.release()
    assert not view.any()
    assert not len(reservation.array)
