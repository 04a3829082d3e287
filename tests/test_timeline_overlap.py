"""The clocks of a timeline: one command after the other, or as many at a time as the ranks allow."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pim_runtime.hardware import load_profile
from pim_runtime.timeline import Timeline
from pim_runtime.timing import TransferWork

pytestmark = pytest.mark.quick

# A push of n bytes to one DPU takes n microseconds.
HARDWARE = load_profile("seed-2023").with_values(
    {
        "transfer.push.setup_us": 0,
        "transfer.push.setup_us_per_rank": 0,
        "transfer.push.base_gb_per_s": 1000,
        "transfer.push.one_dpu_gb_per_s": 0.001,
    }
)
US = 1_000_000


def push(timeline, microseconds, *, ranks, waiting):
    row = timeline.append(
        "write",
        mode="push",
        what="x",
        nr_dpus=1,
        nbytes=microseconds,
        transfers=1,
        work=TransferWork(mode="push", nr_dpus=1, nr_ranks=1, bytes_per_dpu=microseconds),
        ranks=ranks,
        waiting=waiting,
    )
    return row.start_ps // US, (row.start_ps + row.duration_ps) // US


def test_synchronous_commands_follow_each_other_whatever_their_ranks():
    timeline = Timeline(HARDWARE)
    assert push(timeline, 3, ranks=(0,), waiting="synchronous") == (0, 3)
    assert push(timeline, 4, ranks=(1,), waiting="synchronous") == (3, 7)
    assert push(timeline, 2, ranks=(0, 1), waiting="synchronous") == (7, 9)
    assert timeline.now_ps == timeline.end_ps == timeline.duration_ps() == 9 * US


def test_asynchronous_commands_on_other_ranks_overlap():
    timeline = Timeline(HARDWARE)
    assert push(timeline, 3, ranks=(0,), waiting="asynchronous") == (0, 3)
    assert push(timeline, 5, ranks=(1,), waiting="asynchronous") == (0, 5)
    assert push(timeline, 2, ranks=(0,), waiting="asynchronous") == (3, 5)  # behind the first on its rank
    assert push(timeline, 1, ranks=(0, 1, 2), waiting="asynchronous") == (5, 6)  # when all its ranks are free
    assert push(timeline, 1, ranks=(2,), waiting="asynchronous") == (6, 7)
    assert (timeline.now_ps, timeline.end_ps, timeline.duration_ps()) == (0, 7 * US, 12 * US)


def test_a_synchronous_command_waits_for_its_ranks_only():
    timeline = Timeline(HARDWARE)
    push(timeline, 10, ranks=(0,), waiting="asynchronous")
    assert push(timeline, 2, ranks=(1,), waiting="synchronous") == (0, 2)
    assert push(timeline, 1, ranks=(2,), waiting="asynchronous") == (2, 3)  # the host came to it at 2
    assert push(timeline, 1, ranks=(0,), waiting="synchronous") == (10, 11)
    assert timeline.now_ps == 11 * US


def test_a_sync_waits_for_its_ranks_only():
    timeline = Timeline(HARDWARE)
    push(timeline, 3, ranks=(0,), waiting="asynchronous")
    push(timeline, 8, ranks=(1,), waiting="asynchronous")
    row = timeline.sync((0, 2))
    assert (row.operation, row.start_ps, row.duration_ps, timeline.now_ps) == ("sync", 3 * US, 0, 3 * US)
    assert push(timeline, 1, ranks=(2,), waiting="synchronous") == (3, 4)
    assert timeline.sync((0, 1)).start_ps == timeline.now_ps == 8 * US
    assert timeline.sync((0, 1)).start_ps == 8 * US
    assert timeline.duration_ps("sync") == 0
    assert timeline.columns()["waiting"].tolist()[:3] == ["asynchronous", "asynchronous", "synchronous"]


commands = st.lists(
    st.tuples(
        st.integers(1, 9),
        st.sets(st.integers(0, 3), min_size=1).map(tuple),
        st.sampled_from(["synchronous", "asynchronous"]),
    ),
    max_size=20,
)


@given(commands)
def test_no_rank_does_two_things_at_a_time_and_nothing_waits_longer_than_it_must(given):
    timeline = Timeline(HARDWARE)
    host, busy, ends = 0, {}, [0]
    for microseconds, ranks, waiting in given:
        start, end = push(timeline, microseconds, ranks=ranks, waiting=waiting)
        assert start == max(host, *(busy.get(rank, 0) for rank in ranks))
        assert end - start == microseconds
        busy |= dict.fromkeys(ranks, end)
        ends.append(end)
        host = end if waiting == "synchronous" else host
        assert timeline.now_ps == host * US
    assert timeline.end_ps == max(ends) * US
    assert timeline.sync(range(4)).start_ps == timeline.now_ps == max([host, *busy.values()]) * US
