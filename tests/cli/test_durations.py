"""Times as options: every unit, and what is none."""

from __future__ import annotations

import argparse
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pim_runtime.cli.durations import duration_s, overhead_s, shown_s

pytestmark = pytest.mark.quick


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30ms", 0.03), ("100us", 1e-4), ("0.03", 0.03), ("2", 2.0), ("1.5 s", 1.5), ("5ns", 5e-9), ("1e-4", 1e-4)],
)
def test_units(text, seconds):
    assert duration_s(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "0ms", "-1ms", "ms", "1h", "nan", "inf", "1e999", "30 m s", "1,5"])
def test_what_is_no_time(text):
    with pytest.raises(argparse.ArgumentTypeError, match="must be a time above 0"):
        duration_s(text)


@pytest.mark.parametrize(("text", "seconds"), [("0", "0"), ("100us", "1e-4"), ("1e-4", "1e-4"), ("3 ns", "3e-9")])
def test_overheads_are_exact_and_may_be_none(text, seconds):
    assert overhead_s(text) == Decimal(seconds)


@pytest.mark.parametrize("text", ["", "-1", "fast", "nan", "1e999"])
def test_what_is_no_overhead(text):
    with pytest.raises(argparse.ArgumentTypeError, match="must be a time, such as 0"):
        overhead_s(text)


@given(st.floats(1e-9, 999))
def test_a_time_is_read_as_it_was_shown(seconds):
    assert duration_s(shown_s(seconds)) == pytest.approx(seconds, rel=1e-3)
