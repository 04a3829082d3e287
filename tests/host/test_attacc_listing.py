"""Streams of commands as text."""

from __future__ import annotations

import pytest
from kernels_for_tests.attacc import make_device
from kernels_for_tests.attention import Variant, make_case

from host.attacc.device.commands import MNEMONICS
from host.attacc.device.listing import listing

pytestmark = pytest.mark.quick


def test_every_command_is_a_line():
    case = make_case(Variant(dtype="int8", norm="softmax"), tokens=5, dim=3)
    stream = list(make_device(case, "attacc-bank-group").stream(case.q, stack=0, channel=0))
    lines = list(listing(stream))
    assert len(lines) == len(stream)
    assert {line.split()[1] for line in lines} == set(MNEMONICS)
    assert [int(line.split()[0]) for line in lines] == list(range(len(lines)))
    elements = ",".join(str(element) for element in [*case.q[0, 0].tolist(), *[0] * 29])
    assert lines[:4] == [
        "      0 SETM   dim=3 element_bits=8 query_bits=8",
        "      1 SETH   tokens=5 key_row=0 value_row=1 queries=1",
        f"      2 WR_GB  query=0 part=0 column=0 elements={elements}",
        "      3 MAC_AB mode=adder tree group=all bank=0 row=0 column=0",
    ]
    assert lines[-2:] == [
        f"{len(lines) - 2:7} RD     query=0",
        f"{len(lines) - 1:7} RD     query=0 column=0",
    ]
