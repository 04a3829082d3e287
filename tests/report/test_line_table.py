"""Costs of source lines, and how profiles of several launches become one."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from timelines import HARDWARE

from pim_runtime import lines
from pim_runtime.counters import NR_COUNTERS, Counter
from pim_runtime.lines import LineCounts, LineProfile
from pim_runtime.report.line_table import line_costs

pytestmark = pytest.mark.quick

SOURCE = "first = 1\nsecond = 2\n    third = first * second  # text\n"


def counts_of(counts):
    row = np.zeros(NR_COUNTERS, np.int64)
    for counter, count in counts.items():
        row[counter] = count
    return row


def profile_of(filename, **of_lines):
    return LineProfile(
        rows=tuple(
            LineCounts(filename=str(filename), line=int(line[1:]), counts=counts_of(counts))
            for line, counts in of_lines.items()
        )
    )


@pytest.fixture
def source(tmp_path, monkeypatch):
    """A source file in the folder below the working one."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "kernels" / "sums.py"
    file.parent.mkdir()
    file.write_text(SOURCE)
    return file


def test_lines_with_the_most_slots_come_first(source):
    profile = profile_of(
        source,
        L1={Counter.SLOTS: 10},
        L2={Counter.READS: 4, Counter.READ_BYTES: 64, Counter.WRITES: 1, Counter.WRITE_BYTES: 8},
        L3={Counter.SLOTS: 5, Counter.MUL32: 2, Counter.MUL32_STEPS: 9, Counter.MUL16: 1, Counter.MUL64: 1},
    )
    multiply, plain, dma = line_costs(profile, HARDWARE, top=10)
    assert (multiply.place, multiply.text) == ("kernels/sums.py:3", "third = first * second  # text")
    assert (multiply.slots, multiply.multiplies) == (5 + 16 + 9 + 1 + 129, 4)
    assert multiply.share == Fraction(160, 175)
    assert (plain.place, plain.slots, plain.dmas, plain.engine_cycles) == ("kernels/sums.py:1", 10, 0, 0)
    assert (dma.dmas, dma.dma_bytes, dma.slots) == (5, 72, 5)
    assert dma.engine_cycles == 226  # ceil(4 * 38.2 + 64 * 0.5458 + 33.5 + 8 * 0.545)
    assert sum(cost.share for cost in (multiply, plain, dma)) == 1


def test_top_limits_the_lines_but_not_what_shares_are_of(source):
    profile = profile_of(source, L1={Counter.SLOTS: 1}, L2={Counter.SLOTS: 3})
    (cost,) = line_costs(profile, HARDWARE, top=1)
    assert (cost.place, cost.share) == ("kernels/sums.py:2", Fraction(3, 4))
    with pytest.raises(ValueError, match="at least 1"):
        line_costs(profile, HARDWARE, top=0)


def test_places_are_never_absolute(source, tmp_path, monkeypatch):
    installed = profile_of(Path(lines.__file__), L1={Counter.SLOTS: 1})
    assert line_costs(installed, HARDWARE, top=1)[0].place == "pim_runtime/lines.py:1"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert line_costs(profile_of(source, L1={}), HARDWARE, top=1)[0].place == "sums.py:1"
    gone = line_costs(profile_of("no_such_file.py", L9={}), HARDWARE, top=1)[0]
    assert (gone.place, gone.text, gone.share) == ("no_such_file.py:9", "", 0)


def test_an_empty_profile_has_no_lines():
    assert line_costs(LineProfile(), HARDWARE, top=5) == ()


PLACES = st.tuples(st.sampled_from("ab"), st.integers(1, 3))


@given(st.lists(st.dictionaries(PLACES, st.integers(0, 9)), max_size=4), st.randoms())
def test_merging_adds_and_forgets_the_order(contents, random):
    profiles = [
        LineProfile(
            rows=tuple(
                LineCounts(filename=filename, line=line, counts=counts_of({Counter.SLOTS: slots}))
                for (filename, line), slots in content.items()
            )
        )
        for content in contents
    ]
    expected = {}
    for content in contents:
        for place, slots in content.items():
            expected[place] = expected.get(place, 0) + slots
    random.shuffle(profiles)
    merged = LineProfile.merged(profiles)
    assert [(row.filename, row.line, row.counts[Counter.SLOTS]) for row in merged.rows] == [
        (*place, slots) for place, slots in sorted(expected.items())
    ]


def test_merging_leaves_its_profiles_alone():
    one = profile_of("a.py", L1={Counter.SLOTS: 1})
    LineProfile.merged([one, one])
    assert one.rows[0].counts[Counter.SLOTS] == 1


@pytest.mark.parametrize(
    ("line", "counts", "message"),
    [
        (0, np.zeros(NR_COUNTERS, np.int64), "from 1"),
        (1, np.zeros(NR_COUNTERS, np.int32), "int32"),
        (1, np.zeros(3, np.int64), r"must be int64 \(20,\)"),
    ],
)
def test_lines_that_cannot_be_are_refused(line, counts, message):
    with pytest.raises(ValueError, match=message):
        LineCounts(filename="a.py", line=line, counts=counts)
