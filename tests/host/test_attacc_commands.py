"""Commands of a head by the formulas of S1-10, for every placement."""

from __future__ import annotations

from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host.attacc.commands import head_commands
from host.machines.hbm_pim import hbm_pims

pytestmark = pytest.mark.quick

BANK, GROUP, BUFFER = (hbm_pims().load(f"attacc-{name}").units for name in ("bank", "bank-group", "buffer"))
sizes = {"tokens": st.integers(1, 10_000), "dim": st.integers(1, 300), "element_bits": st.sampled_from((4, 8, 16, 32))}


@given(**sizes)
def test_at_banks(tokens, dim, element_bits):
    found = head_commands(BANK, tokens=tokens, dim=dim, element_bits=element_bits)
    n_mac, nb = 256 // element_bits, ceil(tokens / 16)
    columns = ceil(dim / (4 * n_mac))
    assert found.wr_gb == 4 * columns
    assert found.mac == 2 * nb * columns
    assert found.mv_sb == 8 * ceil(nb / 16) + 8 * columns
    assert found.mv_gb == 8 * ceil(tokens / (16 * n_mac))
    assert found.sfm == 1


@given(**sizes)
def test_at_bank_groups(tokens, dim, element_bits):
    found = head_commands(GROUP, tokens=tokens, dim=dim, element_bits=element_bits)
    n_mac, nb = 256 // element_bits, ceil(tokens / 16)
    assert found.wr_gb == ceil(dim / n_mac)
    assert found.mac == 2 * nb * ceil(dim / n_mac)
    assert found.mv_sb == 8 * ceil(nb / 16) + 2 * ceil(dim / n_mac)
    assert found.mv_gb == 8 * ceil(tokens / (16 * n_mac))


@given(**sizes)
def test_on_the_buffer_die(tokens, dim, element_bits):
    found = head_commands(BUFFER, tokens=tokens, dim=dim, element_bits=element_bits)
    n_mac = 256 // element_bits
    assert found.mac == 2 * ceil(tokens / 2) * ceil(dim / n_mac)
    assert (found.wr_gb, found.mv_gb) == (ceil(dim / n_mac), ceil(tokens / (2 * n_mac)))
    assert found.mv_sb == ceil(ceil(tokens / 2) / 16) + ceil(dim / n_mac)


@pytest.mark.parametrize("units", [BANK, GROUP, BUFFER])
def test_commands_read_k_and_v_once(units):
    found = head_commands(units, tokens=2048, dim=128, element_bits=16)
    assert found.mac * units.bytes_per_mac == 2 * 2048 * 128 * 2
    assert found.moves_before_softmax + found.moves_after_softmax == found.wr_gb + found.mv_sb + found.mv_gb


def test_sizes_that_are_none():
    for name in ("tokens", "dim", "element_bits"):
        with pytest.raises(ValueError, match=f"{name} = 0: must be at least 1"):
            head_commands(BANK, **{"tokens": 1, "dim": 1, "element_bits": 8, name: 0})
    with pytest.raises(ValueError, match="hold no whole ones"):
        head_commands(BANK, tokens=1, dim=1, element_bits=24)
