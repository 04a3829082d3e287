"""How many fit beside what is resident: exact, for both rules."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host.machines.capacity import MachineCapacityError, how_many_fit

pytestmark = pytest.mark.quick

sizes = st.integers(0, 10**15)
each = st.one_of(st.integers(1, 10**9), st.fractions(min_value=Fraction(1, 100), max_value=10**9))


@given(room=sizes, resident=sizes, each_bytes=each)
def test_one_more_does_not_fit(room, resident, each_bytes):
    room += resident
    fit = how_many_fit(room_bytes=room, resident_bytes=resident, each_bytes=each_bytes, what="requests")
    assert resident + fit * each_bytes <= room < resident + (fit + 1) * each_bytes


@given(room=sizes, resident=sizes, each_bytes=each)
def test_the_simulators_rule_takes_the_first_that_reaches_the_room(room, resident, each_bytes):
    room += resident
    taken = how_many_fit(
        room_bytes=room, resident_bytes=resident, each_bytes=each_bytes, what="requests", rule="attacc"
    )
    assert resident + (taken - 1) * each_bytes < room <= resident + taken * each_bytes


def test_documents_2s_longest_contexts():
    """C2-03: 4 GiB, weights at 4 bits, and 131,072 bytes of K and V per token."""
    assert how_many_fit(room_bytes=4 << 30, resident_bytes=3303538688, each_bytes=131072, what="tokens") == 7564
    assert how_many_fit(room_bytes=4 << 30, resident_bytes=3303538688, each_bytes=65536, what="tokens") == 15128


def test_nothing_fits_beside_too_much():
    with pytest.raises(MachineCapacityError, match="tokens of KV cache: 101 bytes are resident already"):
        how_many_fit(room_bytes=100, resident_bytes=101, each_bytes=1, what="tokens of KV cache")
    assert how_many_fit(room_bytes=100, resident_bytes=100, each_bytes=1, what="tokens") == 0


@pytest.mark.parametrize("wrong", [{"room_bytes": -1}, {"resident_bytes": -1}, {"each_bytes": 0}, {"each_bytes": -2}])
def test_sizes_that_cannot_be(wrong):
    given_sizes = {"room_bytes": 10, "resident_bytes": 1, "each_bytes": 1} | wrong
    with pytest.raises(ValueError, match="sizes must be positive"):
        how_many_fit(**given_sizes, what="tokens")
