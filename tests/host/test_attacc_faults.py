"""Streams that break the order or the limits of the AttAcc device: refused with the place, the value and the mend.

A changed stream is refused, or it leaves the answers of the right one; it never leaves others.
"""

from __future__ import annotations

import dataclasses
from functools import cached_property

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels_for_tests.attacc import PLACEMENTS, load_device, make_device
from kernels_for_tests.attention import Variant, assert_same, make_case

from host.attacc.device.assembler import head_stream
from host.attacc.device.channel import Channel
from host.attacc.device.commands import (
    Command,
    MoveOutputs,
    MoveScores,
    MoveWeights,
    Multiply,
    ReadOutputs,
    ReadStatistics,
    SetHead,
    SetModel,
    Softmax,
    WriteBuffer,
)
from host.attacc.device.faults import CommandFault
from host.attacc.device.geometry import HeadGeometry
from host.attacc.device.memory import ChannelMemory

pytestmark = pytest.mark.quick

every_placement = pytest.mark.parametrize("placement", PLACEMENTS)
CASE = make_case(Variant(dtype="int16", norm="softmax"), tokens=275, dim=20, queries=3)  # two blocks of 16 slots
STACK, CHANNEL = 3, 5


class Bench:
    """A channel with K and V of CASE, and the right stream for two of its queries, followed by one for the third."""

    def __init__(self, placement: str) -> None:
        hardware = load_device(placement)
        geometry = HeadGeometry(hardware=hardware, dim=CASE.spec.dim, element_bits=16)
        rows = geometry.rows(CASE.tokens)
        memory = ChannelMemory(hardware, rows=2 * rows, dtype=np.dtype(np.int16), element_bits=16)
        for first_row, matrix in ((0, CASE.k), (rows, CASE.v)):
            memory.write(geometry, matrix[0, 0], first_row=first_row, first_token=0)
        self.channel = Channel(hardware, memory, stack=STACK, channel=CHANNEL, reuse_rows=2)
        self.geometry, self.rows = geometry, rows
        self.stream: list[Command] = [SetModel(CASE.spec.dim, 16, 16)]
        for heads in (slice(0, 2), slice(2, 3)):
            self.stream += head_stream(
                geometry, CASE.q[0, heads], CASE.spec.plans[heads], tokens=CASE.tokens, key_row=0, value_row=rows
            )

    @cached_property
    def right(self) -> list[list[int]]:
        """Answers of the right stream."""
        return self.answers(self.stream)

    def answers(self, stream: list[Command]) -> list[list[int]]:
        return [reply.ravel().tolist() for reply in self.channel.run(stream).replies]

    def first(self, kind: type, start: int = 0) -> int:
        """Index of the first command of a kind, from `start` on."""
        return next(i for i in range(start, len(self.stream)) if isinstance(self.stream[i], kind))

    def refusal(self, stream: list[Command]) -> CommandFault:
        with pytest.raises(CommandFault) as caught:
            self.channel.run(stream)
        fault = caught.value
        assert (fault.stack, fault.channel) == (STACK, CHANNEL)
        assert stream[fault.index] is fault.command
        start = f"stack {STACK}, channel {CHANNEL}, command {fault.index}, {fault.command.mnemonic}: "
        assert str(fault).startswith(start)
        return fault


@pytest.fixture(scope="module", params=PLACEMENTS)
def shared_bench(request):
    """A bench whose channel is used again and again: SETM makes it forget what was there."""
    return Bench(request.param)


def test_the_right_stream_answers(shared_bench):
    expected = CASE.expected()
    replies = shared_bench.channel.run(shared_bench.stream).replies
    columns = shared_bench.geometry.columns
    for query in range(3):
        statistics, *outputs = replies[query * (1 + columns) : (query + 1) * (1 + columns)]
        assert statistics.tolist() == [expected.maximum[0, query], expected.weight_sum[0, query]]
        values = shared_bench.geometry.from_columns(np.stack(outputs, axis=1)[None])[0]
        np.testing.assert_array_equal(values, expected.weighted_values[0, query])


# --- any change ------------------------------------------------------------------------------------------------------


@settings(max_examples=20)
@given(data=st.data())
def test_a_command_that_is_missing_is_missed(shared_bench, data):
    """Except for SETM, as the channel knows sizes from before, and the last results, which nothing follows."""
    stream = shared_bench.stream
    columns = shared_bench.geometry.columns
    missing = data.draw(st.integers(1, len(stream) - 2 - columns))
    fault = shared_bench.refusal(stream[:missing] + stream[missing + 1 :])
    assert fault.index >= missing


@settings(max_examples=20)
@given(data=st.data())
def test_a_repeated_command_is_refused_or_changes_nothing(shared_bench, data):
    stream = shared_bench.stream
    index = data.draw(st.integers(0, len(stream) - 1))
    again = data.draw(st.integers(index, min(index + 40, len(stream) - 1)))
    repeated = [*stream[: again + 1], stream[index], *stream[again + 1 :]]
    assert_refused_or_same(shared_bench, repeated)


@settings(max_examples=20)
@given(data=st.data())
def test_commands_in_another_order_are_refused_or_change_nothing(shared_bench, data):
    stream = list(shared_bench.stream)
    start = data.draw(st.integers(0, len(stream) - 1))
    end = min(len(stream), start + data.draw(st.integers(2, 60)))
    middle = data.draw(st.permutations(range(start, end)))
    shuffled = [*stream[:start], *(stream[index] for index in middle), *stream[end:]]
    assert_refused_or_same(shared_bench, shuffled)


def assert_refused_or_same(bench: Bench, stream: list[Command]) -> None:
    """Replies come in the order of RD: compared by command."""
    try:
        replies = bench.answers(stream)
    except CommandFault:
        return
    assert by_read(stream, replies) == by_read(bench.stream, bench.right)


def by_read(stream: list[Command], replies: list[list[int]]) -> dict[tuple[int, Command], list[int]]:
    """What each RD of each head sent."""
    heads, found, answers = 0, {}, iter(replies)
    for command in stream:
        heads += isinstance(command, SetHead)
        if isinstance(command, ReadOutputs | ReadStatistics):
            found[heads, command] = next(answers)
    return found


def test_a_refused_stream_leaves_a_channel_that_works(shared_bench):
    for stop in range(0, len(shared_bench.stream), 97):
        shared_bench.refusal([*shared_bench.stream[:stop], Softmax(99)])
        assert shared_bench.answers(shared_bench.stream) == shared_bench.right


# --- each rule -------------------------------------------------------------------------------------------------------


def changed(bench: Bench, kind: type, start: int = 0, **fields: object) -> list[Command]:
    """The stream with the first command of a kind changed."""
    index = bench.first(kind, start)
    return [*bench.stream[:index], dataclasses.replace(bench.stream[index], **fields), *bench.stream[index + 1 :]]


def without(bench: Bench, kind: type) -> list[Command]:
    """The stream without commands of a kind."""
    return [command for command in bench.stream if not isinstance(command, kind)]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (SetModel, "the channel knows no sizes yet: SETM comes before SETH"),
        (SetHead, "no head is set: SETH first"),
        (
            WriteBuffer,
            "column 0 of query 0, part 0, is not in the GEMV buffers, which lack 8 of 8 columns: WR_GB",
        ),
        (
            MoveScores,
            "slot 16, while the units hold scores of slots 0 to 15: MV_SB those of every query",
        ),
        (Softmax, "query 0 has no weights yet: SFM comes before MV_GB"),
        (MoveWeights, "the weights of slot 0 for query 0 are not in the GEMV buffers of bank group 0: MV_GB block 0"),
        (MoveOutputs, "the outputs of part 0, rank 0, for column 0 of query 0 have not arrived: MV_SB first"),
        (ReadOutputs, "2 results of the head before would be lost, they are not read: RD first"),
        (ReadStatistics, "2 results of the head before would be lost"),
    ],
)
def test_a_kind_of_command_left_out(kind, message):
    bench = Bench("attacc-bank")
    assert message in str(bench.refusal(without(bench, kind)))


def test_multiplications_left_out():
    bench = Bench("attacc-bank")
    for mode, message in (
        ("adder tree", "column 0 of slot 0 of K is not multiplied yet: MAC_AB before scores move"),
        ("accumulate", "column 0 of slot 0 of V is not multiplied yet: MAC_AB before outputs move"),
    ):
        left = [c for c in bench.stream if not (isinstance(c, Multiply) and c.mode == mode)]
        assert message in str(bench.refusal(left))


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        (SetModel, {"element_bits": 8}, "elements of 8 bits, but the banks hold elements of 16"),
        (SetModel, {"dim": 0}, "dim = 0: a head has at least 1 element"),
        (SetModel, {"query_bits": 0}, "queries of 0 bits: the multipliers take 1 to 32"),
        (SetModel, {"query_bits": 8}, "a column is 16 integers of -128 to 127"),
        (SetModel, {"dim": 65}, "K from row 0 and V from row 1 overlap: each takes 2 rows"),
        (SetHead, {"tokens": 0}, "0 tokens: a head has at least 1"),
        (SetHead, {"plans": ()}, "0 queries at once: the units reuse a row for 1 to 2; send the others with another"),
        (SetHead, {"plans": CASE.spec.plans}, "3 queries at once: the units reuse a row for 1 to 2"),
        (
            SetHead,
            {"key_row": 16384},
            "key_row 16384: 275 tokens take 1 rows of a bank, which has 16384; begin at",
        ),
        (SetHead, {"value_row": -1}, "value_row -1: 275 tokens take 1 rows"),
        (SetHead, {"value_row": 0}, "K from row 0 and V from row 0 overlap: each takes 1 rows"),
        (SetHead, {"key_row": 7}, "row 0, where mode 'adder tree' reads K: K of this head is in rows 7 to 7"),
        (SetHead, {"tokens": 200}, "slot 13 of K: this head has tokens in slots 0 to 12"),
        (WriteBuffer, {"query": 2}, "query 2 of 2: give 0 to 1"),
        (WriteBuffer, {"part": 4}, "part 4 of 4: give 0 to 3"),
        (WriteBuffer, {"column": 1}, "column 1 of 1: give 0 to 0"),
        (WriteBuffer, {"elements": (1, 2)}, "2 elements of 1 to 2: a column is 16 integers of -32768 to 32767"),
        (WriteBuffer, {"elements": (32768,) * 16}, "16 elements of 32768 to 32768: a column is 16 integers"),
        (MoveScores, {"query": -1}, "query -1 of 2"),
        (MoveScores, {"group": 8}, "group 8 of 8"),
        (MoveScores, {"block": 1}, "scores of block 1, but the units hold those of block 0, slots 0 to 15"),
        (Softmax, {"query": 2}, "query 2 of 2"),
        (MoveWeights, {"query": 2}, "query 2 of 2"),
        (MoveWeights, {"group": 8}, "group 8 of 8"),
        (MoveWeights, {"block": 2}, "block 2 of 2"),
        (MoveOutputs, {"query": 2}, "query 2 of 2"),
        (MoveOutputs, {"rank": 2}, "rank 2 of 2"),
        (MoveOutputs, {"part": 4}, "part 4 of 4"),
        (MoveOutputs, {"column": 1}, "column 1 of 1"),
        (ReadOutputs, {"column": 1}, "column 1 of 1"),
        (ReadOutputs, {"query": 2}, "query 2 of 2"),
        (ReadStatistics, {"query": 2}, "query 2 of 2"),
    ],
)
def test_a_field_that_is_wrong(kind, fields, message):
    bench = Bench("attacc-bank")
    assert message in str(bench.refusal(changed(bench, kind, **fields)))


def test_an_address_that_is_wrong():
    bench = Bench("attacc-bank")
    index = bench.first(Multiply)
    right = bench.stream[index].address
    for address, message in (
        (right._replace(row=1), "row 1, where mode 'adder tree' reads K: K of this head is in rows 0 to 0"),
        (right._replace(row=16384), "row 16384, where mode"),
        (right._replace(column=32), "column 32 of 32"),
        (right._replace(column=20), "slot 20 of K: this head has tokens in slots 0 to 17"),
        (right._replace(column=16), "slot 16, while the units hold scores of slots 0 to 15"),
        (right._replace(bank=2), "8 bank groups x 1 banks, and there are units for 8 x 4 at once"),
        (right._replace(group=0), "1 bank groups x 4 banks, and there are units for 8 x 4 at once"),
    ):
        assert message in str(bench.refusal(changed(bench, Multiply, address=address)))
    assert "reads V" in str(bench.refusal(changed(bench, Multiply, mode="accumulate")))


def test_what_may_happen_once():
    bench = Bench("attacc-bank")
    multiply, scores, outputs = (bench.first(kind) for kind in (Multiply, MoveScores, MoveOutputs))
    values = bench.first(Multiply, bench.first(Softmax))
    for index, message in (
        (multiply, "column 0 of slot 0 of K was multiplied before: once per head"),
        (scores, "the scores of query 0, bank group 0, block 0 moved before"),
        (values, "column 0 of slot 0 of V was multiplied before: once per head"),
        (outputs, "column 0 of part 0 of query 0 moved from rank 0 before: once per head"),
    ):
        twice = [*bench.stream[: index + 1], *bench.stream[index:]]
        assert message in str(bench.refusal(twice))


def test_what_comes_too_late():
    bench = Bench("attacc-bank")
    multiply, softmax = bench.first(Multiply), bench.first(Softmax)
    write, move = bench.stream[bench.first(WriteBuffer)], bench.stream[bench.first(MoveScores)]
    late = [*bench.stream[: multiply + 1], write]
    assert "the units multiply K already: write all of the query before the first MAC_AB" in str(bench.refusal(late))
    assert "none any more: each moves once" in str(bench.refusal([*bench.stream[:softmax], move]))


def test_softmax_before_all_scores_arrived():
    bench = Bench("attacc-bank")
    stream = [c for c in bench.stream if c != MoveScores(1, 7, 1)]
    message = "the scores of query 1, bank group 7, block 1 have not arrived (1 of 16 MV_SB missing): MV_SB first"
    assert message in str(bench.refusal(stream))


def test_results_before_there_are_any():
    bench = Bench("attacc-bank")
    start = bench.stream[: bench.first(Softmax)]
    assert "query 0 has no weights yet: SFM comes before RD" in str(bench.refusal([*start, ReadStatistics(0)]))
    assert "have not arrived: MV_SB first" in str(bench.refusal([*start, ReadOutputs(0, 0)]))


def test_heads_whose_rows_nobody_wrote():
    bench = Bench("attacc-bank")
    moved = head_stream(
        bench.geometry, CASE.q[0, :1], CASE.spec.plans[:1], tokens=CASE.tokens, key_row=100, value_row=200
    )
    assert "row 100 holds nothing yet: write K and V before" in str(bench.refusal([bench.stream[0], *moved]))


def test_a_device_goes_on_after_an_interruption():
    """A step that was cut off leaves a head whose results nobody read."""
    device = make_device(CASE, "attacc-bank")
    stream = list(device.stream(CASE.q, stack=0, channel=0))
    for channel in device._channels:
        channel.run(stream[: len(stream) // 2])
    assert_same(device.decode(CASE.q).answers, CASE.expected())
