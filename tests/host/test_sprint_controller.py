"""SPRINT's memory controller against one that goes token by token, and how parts of queries overlap."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from host.machines.sprint_chip import sprint_chips
from host.sprint.controller import MemoryController, wordline_reads
from host.sprint.timing import end_cycles, threshold_cycles

pytestmark = pytest.mark.quick

SHIPPED = sprint_chips().load("sprint-s")
SMALL = SHIPPED.with_values({"memory.channels": 3, "memory.banks": 2})


def controller(token_bytes=128, chip=SHIPPED):
    return MemoryController(chip=chip, token_bytes=token_bytes)


masks = st.integers(1, 40).flatmap(lambda tokens: arrays(np.bool_, st.tuples(st.integers(1, 4), st.just(tokens))))


def token_by_token(of, load):
    """Arrivals by token, opened rows and hits of each query, from the rules of `MemoryController.reads`."""
    memory, bus = of.chip.memory, of.chip.bus_cycles(of.token_bytes)
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


@settings(max_examples=40)
@given(masks, st.sampled_from((64, 128, 200, 256, 300, 600)))
def test_reads_are_those_of_a_controller_that_goes_token_by_token(load, token_bytes):
    of = controller(token_bytes, SMALL)
    for reads, (arrivals, opened, hits) in zip(of.reads(load), token_by_token(of, load), strict=True):
        assert dict(zip(reads.tokens.tolist(), reads.arrival.tolist(), strict=True)) == arrivals
        assert (reads.opened_rows, reads.row_hits) == (opened, hits)
        assert reads.cycles == max(arrivals.values(), default=0)


@settings(max_examples=40)
@given(masks)
def test_no_channel_is_faster_than_its_bus_and_the_whole_no_slower_than_one_after_the_other(load):
    of = controller(chip=SMALL)
    memory, bus = of.chip.memory, of.chip.bus_cycles(of.token_bytes)
    for wanted, reads in zip(load, of.reads(load), strict=True):
        per_channel = np.bincount(np.flatnonzero(wanted) % memory.channels, minlength=memory.channels)
        assert per_channel.max() * bus <= reads.cycles
        assert reads.cycles <= wanted.sum() * (memory.row_cycles + memory.column_cycles + bus)


@settings(max_examples=40)
@given(masks, st.data())
def test_of_closed_rows_more_loads_never_take_less(load, data):
    of, fewer = controller(chip=SMALL), load[:1]
    more = fewer | data.draw(arrays(np.bool_, fewer.shape))
    assert next(of.reads(fewer)).cycles <= next(of.reads(more)).cycles


def test_adjacent_tokens_are_on_different_channels_and_rows_fill_up():
    places = controller().places(np.arange(160))
    assert places.channel.tolist() == [j % 16 for j in range(160)]
    assert places.bank.tolist() == [j // 16 % 4 for j in range(160)]
    assert places.row.tolist() == [0] * 128 + [1] * 32  # 16 channels x 4 banks x 2 tokens of a row
    assert controller(512).places(np.arange(64, 66)).row.tolist() == [2, 2]


def test_an_open_row_is_a_hit_for_the_next_query():
    load = np.zeros((3, 256), np.bool_)
    load[0, 0] = load[1, 64] = load[2, 128] = True  # token 64 is in the row of token 0, 128 is not
    reads = list(controller().reads(load))
    assert [(of.opened_rows, of.row_hits, of.cycles) for of in reads] == [(1, 0, 63), (0, 1, 35), (1, 0, 63)]


def test_a_chip_without_transposed_reads_takes_every_wordline():
    load = np.zeros((2, 3, 10), np.bool_)
    load[0, 1, :4] = True
    assert wordline_reads(load, dim=64, chip=SHIPPED) == (4, 64)
    assert wordline_reads(load, dim=128, chip=SHIPPED) == (8, 128)


def test_what_a_controller_refuses():
    with pytest.raises(ValueError, match="token_bytes = 0"):
        controller(0)
    with pytest.raises(ValueError, match=r"\[queries, tokens\]"):
        next(controller().reads(np.zeros((1, 2, 3), np.bool_)))
    with pytest.raises(TypeError, match="bool"):
        next(controller().reads(np.zeros((2, 3))))


def test_thresholds_take_both_commands_and_the_comparators():
    chip = sprint_chips().load("sprint-l")
    assert [threshold_cycles(chip, tokens) for tokens in (1, 64, 65, 384)] == [24, 24, 25, 29]


parts = st.lists(st.tuples(*[st.integers(0, 50)] * 3), min_size=1, max_size=6)


@given(parts, st.integers(0, 20))
def test_without_prefetch_a_query_takes_what_is_stated(queries, threshold):
    load, compute, _ = map(list, zip(*queries, strict=True))
    ends = end_cycles(threshold=threshold, load=load, compute=compute, lag=load, prefetch="none")
    stated = [threshold + max(times) for times in zip(load, compute, strict=True)]
    assert ends == np.cumsum(stated).tolist()


@given(parts, st.integers(0, 20))
def test_prefetch_hides_what_it_can_and_no_more(queries, threshold):
    load, compute, more = map(list, zip(*queries, strict=True))
    lag = [one + extra for one, extra in zip(load, more, strict=True)]
    times = {"threshold": threshold, "load": load, "compute": compute, "lag": lag}
    alone, ahead = end_cycles(**times, prefetch="none"), end_cycles(**times, prefetch="next query")
    assert all(one <= other for one, other in zip(ahead, alone, strict=True))
    assert ahead[-1] >= max(sum(compute), sum(load) + threshold * len(load))
    assert ahead[0] == alone[0]
