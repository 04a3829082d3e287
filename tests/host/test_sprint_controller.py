"""SPRINT's memory controller against one that goes token by token, and how parts of queries overlap."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from host.machines.sprint_chip import sprint_chips
from host.sprint.controller import MemoryController, wordline_reads
from host.sprint.timing import NO_THRESHOLDS, Thresholds, Timing, thresholds_of

pytestmark = pytest.mark.quick

SHIPPED = sprint_chips().load("sprint-s")
SMALL = SHIPPED.with_values({"memory.channels": 3, "memory.banks": 2})


def controller(token_bytes=128, chip=SHIPPED):
    return MemoryController(chip=chip, token_bytes=token_bytes)


IDLE = 10**6  # cycles: everything is through


def each_alone(of, load):
    """Reads of each query, one after the other, when memory has nothing else to do; rows stay open."""
    state = of.closed()
    return [of.read(wanted, state, start=IDLE * at) for at, wanted in enumerate(load)]


masks = st.integers(1, 40).flatmap(lambda tokens: arrays(np.bool_, st.tuples(st.integers(1, 4), st.just(tokens))))


def token_by_token(of, load):
    """Arrivals by token, opened rows and hits of each query, from the rules of `MemoryController.reads`."""
    memory, bus = of.chip.memory, of.bus_cycles
    open_rows, found = {}, []
    for wanted in load:
        arrivals, opened, hits = {}, 0, 0
        for channel in range(memory.channels):
            ready = []
            for bank in range(memory.banks):
                mine = [
                    j
                    for j in np.flatnonzero(wanted)
                    if (j % memory.channels, j // memory.channels % memory.banks) == (channel, bank)
                ]
                rows = {j: j // memory.channels // memory.banks // max(1, of.tokens_per_row) for j in mine}
                whole = of.token_bytes <= memory.row_bytes
                mine.sort(key=lambda j: (not (whole and rows[j] == open_rows.get((channel, bank))), j))
                time = memory.column_cycles
                for place, j in enumerate(mine):
                    if whole and rows[j] == open_rows.get((channel, bank)):
                        hits += 1
                    else:
                        opened += of.rows_per_token
                        time += memory.row_cycles * of.rows_per_token
                    open_rows[channel, bank] = rows[j]
                    ready.append((time + place * bus, bank, place, j))
            free = 0
            for moment, _, _, j in sorted(ready):
                free = max(free, moment) + bus
                arrivals[j] = free
        found.append((arrivals, opened, hits))
    return found


@settings(max_examples=30)
@given(masks, st.sampled_from((64, 128, 200, 256, 300, 600)))
def test_reads_are_those_of_a_controller_that_goes_token_by_token(load, token_bytes):
    of = controller(token_bytes, SMALL)
    for reads, (arrivals, opened, hits) in zip(each_alone(of, load), token_by_token(of, load), strict=True):
        assert dict(zip(reads.tokens.tolist(), reads.arrival.tolist(), strict=True)) == arrivals
        assert (reads.opened_rows, reads.row_hits) == (opened, hits)
        assert reads.cycles == max(arrivals.values(), default=0)


@settings(max_examples=30)
@given(masks)
def test_no_channel_is_faster_than_its_bus_and_the_whole_no_slower_than_one_after_the_other(load):
    of = controller(chip=SMALL)
    memory, bus = of.chip.memory, of.bus_cycles
    for wanted, reads in zip(load, each_alone(of, load), strict=True):
        per_channel = np.bincount(np.flatnonzero(wanted) % memory.channels, minlength=memory.channels)
        assert per_channel.max() * bus <= reads.cycles
        assert reads.cycles <= wanted.sum() * (memory.row_cycles + memory.column_cycles + bus)


@settings(max_examples=30)
@given(masks, st.data())
def test_of_closed_rows_more_loads_never_take_less(load, data):
    of, fewer = controller(chip=SMALL), load[:1]
    more = fewer | data.draw(arrays(np.bool_, fewer.shape))
    (first,), (second,) = each_alone(of, fewer), each_alone(of, more)
    assert first.cycles <= second.cycles


def test_adjacent_tokens_are_on_different_channels_and_rows_fill_up():
    places = controller().places(np.arange(160))
    assert places.channel.tolist() == [j % 16 for j in range(160)]
    assert places.bank.tolist() == [j // 16 % 4 for j in range(160)]
    assert places.row.tolist() == [0] * 128 + [1] * 32  # 16 channels x 4 banks x 2 tokens of a row
    assert controller(512).places(np.arange(64, 66)).row.tolist() == [2, 2]


def test_an_open_row_is_a_hit_for_the_next_query():
    load = np.zeros((3, 256), np.bool_)
    load[0, 0] = load[1, 64] = load[2, 128] = True  # token 64 is in the row of token 0, 128 is not
    reads = each_alone(controller(), load)
    assert [(of.opened_rows, of.row_hits, of.cycles) for of in reads] == [(1, 0, 63), (0, 1, 35), (1, 0, 63)]


def test_a_chip_without_transposed_reads_takes_every_wordline():
    load = np.zeros((2, 3, 10), np.bool_)
    load[0, 1, :4] = True
    assert wordline_reads(load, dim=64, chip=SHIPPED) == (4, 64)
    assert wordline_reads(load, dim=128, chip=SHIPPED) == (8, 128)


def test_what_a_controller_refuses():
    with pytest.raises(ValueError, match="token_bytes = 0"):
        controller(0)


def test_a_busy_bank_and_a_busy_bus_wait():
    of = controller()
    state = of.closed()
    wanted = np.zeros((4, 160), np.bool_)
    wanted[0, 0] = wanted[1, 128] = wanted[2, 16] = wanted[3, 1] = True
    cycles = [of.read(one, state, start=0).cycles for one in wanted]
    # A row, a column, a bus: 28 + 15 + 20. Token 128 is in another row of the same bank, which streams for 20; token 16
    # in another bank of the same channel, whose bus is behind these two; token 1 on another channel.
    assert cycles == [63, 28 + 20 + 63, 28 + 20 + 63 + 20, 63]


def test_thresholds_take_both_commands_and_the_comparators():
    chip = sprint_chips().load("sprint-l")
    assert [thresholds_of(chip, tokens) for tokens in (1, 65, 384)] == [(24, 15), (25, 15), (29, 15)]
    assert thresholds_of(chip, 64 * 100).interval == 100  # ReadP of so many tokens is the slowest


def times(load, compute, thresholds, *, corelets=2, **timing):
    owner = np.arange(load.shape[1]) % corelets
    given = {"thresholds": thresholds, "compute": np.array(compute), "owner": owner, "key_cycles": 1}
    return Timing(**timing).queries(load, controller(chip=SMALL), **given)


loads_and_times = masks.flatmap(
    lambda load: st.tuples(st.just(load), st.lists(st.integers(0, 90), min_size=len(load), max_size=len(load)))
)
thresholds = st.builds(
    lambda interval, more: Thresholds(interval + more, interval), st.integers(0, 20), st.integers(0, 20)
)


@settings(max_examples=30)
@given(loads_and_times, thresholds)
def test_without_being_ahead_a_query_takes_what_is_stated(queries, thresholds):
    load, compute = queries
    found = times(load, compute, thresholds)
    assert found.load.tolist() == [reads.cycles for reads in each_alone(controller(chip=SMALL), load)]
    assert found.end.tolist() == np.cumsum(thresholds.latency + np.maximum(found.load, compute)).tolist()


@settings(max_examples=20)
@given(loads_and_times, thresholds, st.sampled_from(("present first", "stall")))
def test_memory_that_is_further_ahead_is_never_later_and_hides_no_more_than_there_is(queries, thresholds, misses):
    load, compute = queries
    ends = [times(load, compute, thresholds, misses=misses, ahead=ahead).end for ahead in (0, 1, 2, 9)]
    assert all((later >= sooner).all() for later, sooner in pairwise(ends))
    assert ends[-1][-1] >= max(sum(compute), thresholds.latency + thresholds.interval * (len(load) - 1))


@settings(max_examples=20)
@given(loads_and_times, thresholds, st.integers(0, 3))
def test_a_corelet_that_waits_for_each_token_is_between_both(queries, thresholds, ahead):
    load, _ = queries
    compute = [max(int(one[0::2].sum()), int(one[1::2].sum())) for one in load]
    ends = [
        times(load, compute, thresholds, misses=misses, ahead=ahead).end
        for misses in ("present first", "arrivals", "stall")
    ]
    assert all((sooner <= later).all() for sooner, later in pairwise(ends))


def test_what_overlaps_by_hand():
    """Three queries of one token each on a channel of their own; thresholds take 10, every 4 cycles."""
    load = np.eye(3, dtype=np.bool_)
    compute, thresholds = [100, 30, 1], Thresholds(10, 4)
    ends = {ahead: times(load, compute, thresholds, ahead=ahead).end.tolist() for ahead in (0, 1, 2)}
    assert ends == {
        0: [110, 110 + 10 + 63, 183 + 10 + 63],
        1: [110, 140, 110 + 10 + 63],  # the second one is there at 10 + 10 + 63; the third begins with it, at 110
        2: [110, 140, 141],
    }
    alone = times(load, compute, NO_THRESHOLDS, ahead=2).end.tolist()
    assert alone == [100, 130, 131]


def test_timing_that_there_is_not():
    with pytest.raises(ValueError, match=r"misses = 'never'.*present first, arrivals, stall"):
        Timing(misses="never")
    with pytest.raises(ValueError, match="ahead = -1"):
        Timing(ahead=-1)
    with pytest.raises(TypeError, match=r"ahead = 0\.5"):
        Timing(ahead=0.5)
