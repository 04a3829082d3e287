"""A report of thousands of faults: none is lost, ranges are exact, and the page stays short."""

from __future__ import annotations

import re
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pim_runtime.device.faults import FaultCode, explain
from pim_runtime.engine.deadlocks import Wait
from pim_runtime.engine.fault_report import MOST_PARAGRAPHS, report
from pim_runtime.engine.faults import Fault
from pim_runtime.topology import format_ranges

pytestmark = pytest.mark.quick

FILE = "nowhere.py"
INDEX, HALT = FaultCode.WRAM_INDEX, FaultCode.HALT
RANGE = re.compile(r"(-?(?:0x)?[0-9a-f]+)(?:(?:-| to )(-?(?:0x)?[0-9a-f]+)(?: by (\d+))?)?")


def fault(dpu, *, tasklet=1, phase=0, code=HALT, values=(0, 0, 0, 0), line=7, waits=(), text=None):
    return Fault(
        dpu=dpu, tasklet=tasklet, phase=phase, code=code, values=values, filename=FILE, line=line,
        text=text or explain(code, values), waits=waits,
    )  # fmt: skip


def index_fault(dpu, index, **place):
    return fault(dpu, code=INDEX, values=(index, 8, 7, 0), **place)


def shown(faults, nr_dpus=2560):
    return report(faults, nr_dpus, dpus_per_rank=64, dpus_per_chip=8)


def numbers(text):
    """The numbers that a text of ranges stands for."""
    found = set()
    for part in text.split(", "):
        first, last, step = RANGE.fullmatch(part).groups()
        found.update(range(int(first, 0), int(last or first, 0) + 1, int(step or 1)))
    return found


@given(st.sets(st.integers(-300, 3000)) | st.sets(st.integers(0, 60)), st.sampled_from(["d", "#x"]))
def test_ranges_say_exactly_which_numbers(chosen, radix):
    text = format_ranges(chosen, radix=radix)
    assert (numbers(text) if text else set()) == chosen


@given(st.sets(st.integers(0, 500), min_size=1), st.integers(1, 5))
def test_shortened_ranges_count_the_rest(chosen, most):
    *parts, last = format_ranges(chosen, most=most).split(", ")
    if last.startswith("and "):
        rest, largest = map(int, re.fullmatch(r"and (\d+) more up to (\d+)", last).groups())
        assert len(parts) == most
        assert len(numbers(", ".join(parts))) + rest == len(chosen)
        assert largest == max(chosen)
    else:
        assert numbers(", ".join([*parts, last])) == chosen


@pytest.mark.parametrize(
    ("chosen", "text"),
    [
        ([], ""), ([3], "3"), ([3, 4], "3-4"), ([0, 2, 4], "0, 2, 4"), ([0, 2, 4, 6], "0-6 by 2"),
        ([0, 1, 2, 8, 16, 24], "0-2, 8, 16, 24"), ([-8, -7], "-8 to -7"), ([5, 5, 4], "4-5"),
    ],
)  # fmt: skip
def test_ranges_in_words(chosen, text):
    assert format_ranges(chosen) == text


def test_a_whole_machine_that_fails_alike_is_one_paragraph():
    faults = [index_fault(dpu, 8 + dpu % 1024, tasklet=1 + dpu % 16, phase=dpu % 3) for dpu in range(1024)]
    assert shown(faults).splitlines() == [
        "1024 of 2560 DPUs",
        "ranks 0-15, DPUs 0-1023, tasklets 1-16, phases 0-2, at nowhere.py:7:",
        "    " + explain(INDEX, (8, 8, 7, 0)),
        "    (this is DPU 0; over all of them: index 8-1031)",
    ]


def test_addresses_are_ranges_of_hexadecimal_numbers():
    addresses = [0x44 + 8 * dpu for dpu in range(2560)]
    faults = [
        fault(dpu, code=FaultCode.DMA_MRAM_ALIGNMENT, values=(address, 16, address & -8, 0))
        for dpu, address in enumerate(addresses)
    ]
    assert shown(faults).endswith("(this is DPU 0; over all of them: MRAM address 0x44-0x503c by 8)")


def test_more_kinds_than_fit_are_counted():
    lines = shown([fault(dpu, line=1 + dpu % 20) for dpu in range(40)]).splitlines()
    assert len(lines) == 1 + 2 * MOST_PARAGRAPHS + 1
    assert lines[-1] == "and 4 more kinds of faults on DPUs 16-19, 36-39: `faults` of this error has all"


def test_deadlocks_are_alike_when_the_same_is_missing_at_the_same_place():
    def stuck(dpu, what, tasklets):
        wait = Wait(tasklets=tasklets, what=what, filename=FILE, line=7, why="nobody comes")
        return fault(dpu, code=FaultCode.DEADLOCK, waits=(wait,), text=f"deadlock:\n  {wait}")

    lines = shown([stuck(0, "barrier 'a'", (0, 1)), stuck(1, "mutex 'm'", (0,)), stuck(2, "barrier 'a'", (1, 2))])
    assert lines.splitlines() == [
        "3 of 2560 DPUs",
        "rank 0, DPUs 0, 2, tasklet 1, phase 0, at nowhere.py:7:",
        "    deadlock:",
        "      tasklets 0-1 wait for barrier 'a' at nowhere.py:7: nobody comes",
        "    (this is DPU 0; in the others other tasklets wait)",
        "rank 0, DPU 1 (0.0.1), tasklet 1, phase 0, at nowhere.py:7:",
        "    deadlock:",
        "      tasklet 0 waits for mutex 'm' at nowhere.py:7: nobody comes",
    ]


# The source line and what the engine adds have the rest.
SAYS_IT_ALL = {HALT, FaultCode.DEADLOCK, FaultCode.INTERNAL, FaultCode.INTERRUPTED}


@pytest.mark.parametrize("code", FaultCode)
def test_every_fault_has_a_sentence_and_a_mend(code):
    assert explain(code, (1, 2, 3, 4))
    assert (re.search(r"[.:] [A-Z]", explain(code, (1, 2, 3, 4))) is not None) == (code not in SAYS_IT_ALL)


HEAD = re.compile(
    r"ranks? (.*), DPUs? (.*?)(?: \(\d+\.\d+\.\d+\))?, tasklets? (.*), phases? (.*), at nowhere.py:(\d+):"
)


@given(
    st.lists(
        st.tuples(st.integers(0, 23), st.integers(0, 5), st.integers(1, 4), st.integers(8, 12)), min_size=1, max_size=12
    )
)
def test_every_fault_is_in_exactly_one_paragraph(drawn):
    faults = [
        index_fault(dpu * 37, index, tasklet=tasklet, phase=phase, line=line)
        for dpu, (tasklet, phase, line, index) in enumerate(drawn)
    ]
    expected = defaultdict(list)
    for one in faults:
        expected[one.line].append(one)
    lines = shown(faults).splitlines()
    heads = [HEAD.fullmatch(line) for line in lines if line.startswith("rank")]
    assert lines[0] == f"{len(drawn)} of 2560 DPUs"
    assert [int(head[5]) for head in heads] == list(expected)
    for head, group in zip(heads, expected.values(), strict=True):
        assert numbers(head[1]) == {one.dpu // 64 for one in group}
        assert numbers(head[2]) == {one.dpu for one in group}
        assert numbers(head[3]) == {one.tasklet for one in group}
        assert numbers(head[4]) == {one.phase for one in group}
