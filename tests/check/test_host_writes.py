"""The unused writes of the host are found again as in a plain list of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pim_runtime.check.finding import SourcePlace
from pim_runtime.check.host_writes import HostWrite, HostWrites
from pim_runtime.check.shadow import PAGE_BYTES

pytestmark = pytest.mark.quick

PLACE = SourcePlace("host.py", 1)
MEMORIES = st.sampled_from(["wram", "mram"])
NEAR_PAGES = st.integers(0, 3).flatmap(
    lambda page: st.integers(-9, 9).map(lambda offset: 10 + page * PAGE_BYTES + offset)
)
BYTES = st.builds(
    lambda start, length: range(start, start + length), NEAR_PAGES, st.sampled_from([1, 8, 24, PAGE_BYTES])
)
STEPS = st.lists(st.tuples(st.sampled_from(["add", "add", "add", "use", "forget"]), MEMORIES, BYTES), max_size=12)


@given(STEPS, MEMORIES, BYTES)
def test_what_overlaps_is_what_a_list_says(steps, memory, accessed):
    writes, listed = HostWrites(), set()
    for step, where, part in steps:
        if step == "add":
            writes.add(HostWrite(where, part, PLACE))
            listed.add(HostWrite(where, part, PLACE))
        elif step == "use":
            writes.used(where, part)
            listed = {write for write in listed if not write.overlaps(where, part)}
        else:
            writes.forget(where)
            listed = {write for write in listed if write.memory != where}
    found = writes.overlapping(memory, accessed)
    assert set(found) == {write for write in listed if write.overlaps(memory, accessed)}
    assert [write.written.start for write in found] == sorted(write.written.start for write in found)
    writes.clear()
    assert writes.overlapping(memory, accessed) == []
