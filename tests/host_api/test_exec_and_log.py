"""Launching, and reading what DPUs printed: streams, headers and errors (upmem-sdk 1.7, 1.8 and 2.8)."""

from __future__ import annotations

import io

import pytest

from pim_runtime import DpuFaultError, DpuProgram, DpuSet, EngineOptions
from pim_runtime.api import dpu_launch, dpu_log_read
from pim_runtime.counters import Counter
from pim_runtime.device import halt, int64, me, printf
from pim_runtime.errors import (
    ArgumentError,
    DpuErrorCode,
    InvalidDpuSetError,
    LogBufferTooSmallError,
    LogContextMissingError,
)

HEADERS = {0: "0x0", 1: "0x1", 8: "0x100", 63: "0x707", 64: "0x10000", 73: "0x10101"}


def text_of(dpu, number=8):
    return f"=== DPU#{HEADERS[dpu]} ===\ntasklet 0 of {number}\ntasklet 1 of {number}\n"


@pytest.mark.quick
@pytest.mark.parametrize("dpu", HEADERS)
def test_headers_name_the_dpu(allocate, dpu):
    dpus = allocate(74)
    dpus.dpus()[dpu].exec()
    stream = io.StringIO()
    dpu_log_read(dpus.dpus()[dpu], stream)
    assert stream.getvalue() == text_of(dpu)


@pytest.mark.parametrize("engine", ["interpreted", "compiled"])
def test_one_stream_for_all(machine, programs, engine):
    stream = io.StringIO()
    with DpuSet(2, binary=programs[0], log=stream, machine=machine, options=EngineOptions(engine=engine)) as dpus:
        dpus.exec()
        assert stream.getvalue() == text_of(0) + text_of(1)
        dpus.exec()
        assert stream.getvalue() == text_of(0) + text_of(1) + text_of(0, 9) + text_of(1, 9)


@pytest.mark.quick
def test_a_stream_per_dpu(allocate):
    streams = [io.StringIO(), None, io.StringIO()]
    dpus = allocate(3, log=streams)
    dpus.exec()
    assert streams[0].getvalue() == text_of(0)
    assert streams[2].getvalue().startswith("=== DPU#0x2 ===\n")
    dpus.dpus()[2].exec()
    assert streams[2].getvalue().count("=== DPU#0x2 ===") == 2
    assert streams[0].getvalue() == text_of(0), "DPU 0 was not launched"


@pytest.mark.quick
def test_streams_for_one_launch(allocate):
    standing, once = io.StringIO(), io.StringIO()
    dpus = allocate(2, log=standing)
    dpus.exec(log=once)
    assert once.getvalue() == text_of(0) + text_of(1)
    assert not standing.getvalue()
    dpus.exec(log=[None, once])
    assert standing.getvalue() == text_of(0, 9), "None keeps the set's own"
    assert once.getvalue().endswith(text_of(1, 9))


@pytest.mark.quick
def test_log_goes_to_the_argument_the_set_or_standard_output(allocate, capsys):
    standing, given = io.StringIO(), io.StringIO()
    dpus = allocate(2, log=standing)
    dpus.exec()
    dpus.log()
    assert standing.getvalue() == 2 * (text_of(0) + text_of(1)), "reading does not clear the log"
    dpus.dpus()[1].log(given)
    assert given.getvalue() == text_of(1)
    quiet = allocate(1)
    quiet.exec()
    assert not capsys.readouterr().out
    quiet.log()
    assert capsys.readouterr().out == text_of(0)


@pytest.mark.quick
def test_a_dpu_that_printed_nothing_has_a_header(four):
    stream = io.StringIO()
    four.log(stream)
    assert stream.getvalue() == "".join(f"=== DPU#0x{dpu} ===\n" for dpu in range(4))


@pytest.mark.quick
def test_only_the_last_launch_is_in_the_log(four):
    four.exec()
    four.exec()
    stream = io.StringIO()
    four.dpus()[0].log(stream)
    assert stream.getvalue() == text_of(0, 9)


@pytest.mark.quick
def test_wrong_streams(four):
    with pytest.raises(
        ArgumentError, match=r"^cannot log, log list length does not match the number of DPUs in DpuSet: 3 "
    ):
        four.exec(log=[None] * 3)
    with pytest.raises(ArgumentError, match=r"^stream argument is not an object with a 'write' method: 7"):
        four.exec(log=7)
    assert four.number.int32() == [7] * 4, "nothing ran"


@pytest.mark.quick
def test_a_program_without_printf(allocate, programs):
    dpus = allocate(1, program=programs[1])
    with pytest.raises(LogContextMissingError, match=r"^logging context missing: program 'silent' never calls printf"):
        dpus.exec(log=io.StringIO())
    assert dpus.value.int64() == 1, "the launch itself is done"


@pytest.mark.quick
def test_dpu_log_read_wants_a_single_dpu(allocate):
    one = allocate(1)
    one.exec()
    for part in (one, one.ranks()[0]):
        with pytest.raises(
            InvalidDpuSetError, match=r"^invalid action for this dpu set: dpu_log_read works on a single DPU"
        ):
            dpu_log_read(part, io.StringIO())


@pytest.mark.quick
def test_a_fault_prints_no_log_but_the_log_can_be_read(machine, interpreted):
    program = DpuProgram("stops", nr_tasklets=2)

    @program.kernel
    def stop(t):
        printf(t, "before %d\n", me(t))
        if me(t) == 1:
            halt(t)

    stream = io.StringIO()
    with DpuSet(2, binary=program, log=stream, machine=machine, options=interpreted) as dpus:
        with pytest.raises(DpuFaultError, match=r"^dpu is in fault") as caught:
            dpu_launch(dpus)
        assert caught.value.code is DpuErrorCode.DPU_ERR_DPU_FAULT
        assert not stream.getvalue()
        dpus.log()
        assert stream.getvalue().startswith("=== DPU#0x0 ===\nbefore 0\nbefore 1\n=== DPU#0x1 ===")


@pytest.mark.quick
def test_exec_gives_the_counters_of_each_program(allocate, programs):
    dpus = allocate(4)
    (result,) = dpus.exec()
    assert result.faults == ()
    assert result.counters.rows.shape == (4, 1, 2, len(Counter))
    dpus.dpus()[1].load(programs[1])
    results = dpus.exec()
    assert [result.counters.nr_dpus for result in results] == [1, 1, 2]
    assert [result.counters.nr_tasklets for result in results] == [2, 1, 2]
    assert dpus.timeline.rows[-1].what == "shelf, silent"
    assert dpus.dpus()[1].value.int64() == 1
    assert dpus.dpus()[3].number.int32() == 9


@pytest.mark.quick
def test_launch_of_a_part(allocate):
    dpus = allocate(66)
    dpus.ranks()[1].exec()
    dpus.dpus()[5].exec()
    assert [dpu for dpu, number in enumerate(dpus.number.int32()) if number == 8] == [5, 64, 65]


@pytest.mark.quick
def test_wram_persists_between_launches(four):
    for launches in range(1, 4):
        four.exec()
        assert four.number.int32() == [7 + launches] * 4


@pytest.mark.quick
def test_log_ring_overrun(machine, interpreted):
    program = DpuProgram("chatty")
    messages = program.host("messages", int64, initial=65536)

    @program.kernel
    def chat(t):
        for i in range(messages.load(t)):
            printf(t, "%d", i)

    stream = io.StringIO()
    with DpuSet(1, binary=program, machine=machine, options=interpreted) as dpus:
        dpus.exec(log=stream)
        assert stream.getvalue().endswith("65535"), "1 MiB of 16-byte messages"
        dpus.messages = (65537).to_bytes(8, "little")
        stream = io.StringIO()
        text = "^logging buffer too small: DPU 0 printed 1048592 bytes in one launch, the ring holds 1048576"
        with pytest.raises(LogBufferTooSmallError, match=text):
            dpus.exec(log=stream)
        assert stream.getvalue() == "=== DPU#0x0 ===\n"
