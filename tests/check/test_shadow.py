"""The shadow against one byte of state per byte of memory."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pim_runtime.check.shadow import EARLIER, HOST, PAGE_BYTES, TAINTED, THIS, UNDEFINED, Shadow

pytestmark = pytest.mark.quick

SIZE = 4 * PAGE_BYTES
RANGES = st.tuples(st.integers(0, SIZE - 1), st.integers(0, 2 * PAGE_BYTES + 9)).map(
    lambda pair: (pair[0], min(pair[1], SIZE - pair[0]))
)
STATES = st.sampled_from([UNDEFINED, HOST, THIS, EARLIER, TAINTED])


@given(st.sampled_from([UNDEFINED, HOST]), st.lists(st.tuples(RANGES, STATES) | st.sampled_from(["launch", "load"])))
def test_states(elsewhere, steps):
    shadow, plain = Shadow(elsewhere), np.full(SIZE, elsewhere, np.uint8)
    for step in steps:
        if step == "launch":
            shadow.begin_launch()
            plain[plain == THIS] = EARLIER
        elif step == "load":
            shadow.begin_load()
            plain[(plain == THIS) | (plain == EARLIER)] = HOST
        else:
            (address, nr_bytes), state = step
            before = shadow.copy()
            shadow.fill(address, nr_bytes, state)
            assert before.states(0, SIZE) == plain.tobytes()
            plain[address : address + nr_bytes] = state
        assert shadow.states(0, SIZE) == plain.tobytes()
    for page in range(SIZE // PAGE_BYTES):
        assert shadow.page_states(page).tobytes() == plain.reshape(-1, PAGE_BYTES)[page].tobytes()
        if page not in shadow.pages:
            assert set(shadow.page_states(page).tolist()) == {elsewhere}


@given(RANGES, RANGES)
def test_some_states(written, asked):
    shadow, plain = Shadow(), bytearray(SIZE)
    states = bytes(index % 5 for index in range(written[1]))
    shadow.set(written[0], states)
    plain[written[0] : sum(written)] = states
    assert shadow.states(*asked) == bytes(plain[asked[0] : sum(asked)])


def test_large_transfers():
    shadow = Shadow()
    shadow.fill(8, 64 << 20, HOST)
    assert shadow.states(0, 64 << 20).count(HOST) == (64 << 20) - 8
