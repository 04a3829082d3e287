"""Where K and V lie in the banks: S1-13 for units at banks, and for every placement no element on top of another."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels_for_tests.attacc import PLACEMENTS, load_device

from host.attacc.device.faults import IllegalCommand
from host.attacc.device.geometry import Address, HeadGeometry
from host.attacc.device.memory import ChannelMemory

pytestmark = pytest.mark.quick

geometries = st.builds(
    lambda placement, dim, bits: HeadGeometry(hardware=load_device(placement), dim=dim, element_bits=bits),
    st.sampled_from(PLACEMENTS),
    st.integers(1, 300),
    st.sampled_from([4, 8, 16, 32]),
)


def test_the_banks_of_a_stack_are_all_of_its_memory():
    hardware = load_device("attacc-bank")
    bank_bytes = hardware.banks.rows * hardware.timing.macs_per_row * hardware.units.command_bytes
    banks = hardware.stacks.channels * hardware.units.pseudo_channels * hardware.banks.groups * hardware.banks.banks
    assert banks * bank_bytes == hardware.stacks.stack_bytes


def test_units_at_banks_have_the_layout_of_the_specification():
    """Token j in group j mod 16 and slot j // 16, dim i in bank i // (d / 4), columns and lanes inside."""
    dim, lanes = 128, 16
    geometry = HeadGeometry(hardware=load_device("attacc-bank"), dim=dim, element_bits=16)
    places = geometry.token_places(np.arange(1000))
    in_columns = geometry.to_columns(np.arange(dim)[None], fill=-1)[0]  # [banks, columns, lanes] of dims
    for token in range(0, 1000, 7):
        group = places.group[token, 0, 0] * 2 + places.pseudo_channel[token, 0, 0]
        assert group == token % 16
        for i in range(dim):
            bank, inside = i // (dim // 4), i % (dim // 4)
            assert in_columns[bank, inside // lanes, inside % lanes] == i
            assert places.bank[0, bank, 0] == bank
            row, column = divmod(token // 16 * 2 + inside // lanes, 32)
            assert (places.row[token, 0, inside // lanes], places.column[token, 0, inside // lanes]) == (row, column)


@settings(max_examples=30)
@given(geometry=geometries, tokens=st.integers(1, 200))
def test_every_column_has_a_place_of_its_own(geometry, tokens):
    places = geometry.token_places(np.arange(tokens))
    where = np.stack([each.ravel() for each in np.broadcast_arrays(*places)], axis=1)
    assert len(np.unique(where, axis=0)) == len(where) == tokens * geometry.parts * geometry.columns
    banks = geometry.hardware.banks
    limits = [2, banks.groups, banks.banks, geometry.rows(tokens), geometry.columns_per_row]
    assert (where >= 0).all()
    assert (where < limits).all()
    assert (places.row == geometry.rows(tokens) - 1).any()


@settings(max_examples=30)
@given(geometry=geometries, data=st.data())
def test_positions_follow_from_addresses(geometry, data):
    slot, first_row = data.draw(st.integers(0, 5000)), data.draw(st.integers(0, 100))
    column = data.draw(st.integers(0, geometry.columns - 1))
    address = geometry.address(slot, column, first_row=first_row)
    assert geometry.position(address, first_row=first_row) == (slot, column)


@settings(max_examples=30)
@given(geometry=geometries, tokens=st.integers(1, 100))
def test_what_is_written_is_read_at_the_address_of_its_slot(geometry, tokens):
    """Each unit gets the column of its own token and part, whatever the stream walks over."""
    memory = ChannelMemory(
        geometry.hardware, rows=3 + geometry.rows(tokens), dtype=np.dtype(np.int32), element_bits=geometry.element_bits
    )
    vectors = np.arange(tokens * geometry.dim).reshape(tokens, geometry.dim).astype(np.int32)
    memory.write(geometry, vectors, first_row=3, first_token=0)
    for slot, column in np.ndindex(geometry.slots(tokens), geometry.columns):
        found = memory.read(geometry.address(slot, column, first_row=3))
        assert found.shape == (2, geometry.groups, geometry.parts, geometry.lanes)
        for group in range(geometry.groups):
            for pseudo_channel, token in enumerate(geometry.tokens(np.array([slot]), group=group)[:, 0].tolist()):
                if token < tokens:
                    expected = geometry.to_columns(vectors[token : token + 1], fill=np.iinfo(np.int32).min)
                    np.testing.assert_array_equal(found[pseudo_channel, group], expected[0, :, column])


@settings(max_examples=30)
@given(geometry=geometries, count=st.integers(1, 3))
def test_vectors_come_back_from_columns(geometry, count):
    vectors = np.arange(count * geometry.dim).reshape(count, geometry.dim)
    columns = geometry.to_columns(vectors, fill=-1)
    assert columns.shape == (count, geometry.parts, geometry.columns, geometry.lanes)
    np.testing.assert_array_equal(geometry.from_columns(columns), vectors)
    assert (columns >= 0).sum() == vectors.size


@pytest.mark.parametrize("placement", ["attacc-bank-group", "attacc-buffer"])
def test_the_next_row_can_open_while_a_row_streams(placement):
    """Units that closed forms take to hide openings: a bank has as long to open a row as another one streams."""
    geometry = HeadGeometry(hardware=load_device(placement), dim=128, element_bits=16)
    addresses = [geometry.address(*divmod(index, geometry.columns), first_row=0) for index in range(4096)]
    last_use: dict[tuple[int | None, int | None], int] = {}
    opened: dict[tuple[int | None, int | None], int] = {}
    for index, address in enumerate(addresses):
        bank = address.group, address.bank
        if opened.get(bank) not in (None, address.row):
            assert index - last_use[bank] > geometry.columns_per_row
        opened[bank], last_use[bank] = address.row, index


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"dim": 0}, "dim = 0: a head has at least 1 element"),
        ({"element_bits": 0}, "element_bits = 0: whole elements fill a column of 32 bytes"),
        ({"element_bits": 24}, "element_bits = 24: whole elements"),
    ],
)
def test_heads_without_a_layout(sizes, message):
    with pytest.raises(ValueError, match=message):
        HeadGeometry(hardware=load_device("attacc-bank"), **{"dim": 8, "element_bits": 8, **sizes})


def test_units_that_do_not_share_out_the_banks():
    hardware = load_device("attacc-bank")
    odd = dataclasses.replace(hardware, units=dataclasses.replace(hardware.units, banks=3))
    with pytest.raises(ValueError, match="attacc-bank: 8 bank groups with units of 8, 3 banks of 4"):
        HeadGeometry(hardware=odd, dim=8, element_bits=8)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        (Address(None, None, 16384, 0), "row 16384 of 16384: give 0 to 16383"),
        (Address(None, None, -1, 0), "row -1 of 16384"),
        (Address(None, None, 0, 32), "column 32 of 32"),
        (Address(8, None, 0, 0), "bank group 8 of 8"),
        (Address(0, 4, 0, 0), "bank 4 of 4"),
        (Address(None, None, 1, 0), "row 1 holds nothing yet"),
        (Address(None, None, 7, 0), "row 7 holds nothing yet"),
    ],
)
def test_addresses_that_no_bank_has(address, message):
    hardware = load_device("attacc-bank")
    memory = ChannelMemory(hardware, rows=2, dtype=np.dtype(np.int8), element_bits=8)
    geometry = HeadGeometry(hardware=hardware, dim=8, element_bits=8)
    memory.write(geometry, np.ones((1, 8), np.int8), first_row=0, first_token=0)
    with pytest.raises(IllegalCommand, match=message):
        memory.read(address)
