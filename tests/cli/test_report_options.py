"""The options of the reports, on a timeline made by hand: their tables, their files, and what is refused."""

from __future__ import annotations

import argparse
import json

import numpy as np
import pytest

from pim_runtime.cli import report_options
from pim_runtime.cli.output import Column, Table
from pim_runtime.cli.report_options import (
    add_report_arguments,
    check_report_arguments,
    plot_speedups,
    refuse_without_timeline,
    report_sections,
    write_reports,
)
from pim_runtime.counters import NR_COUNTERS, Counter, LaunchCounters
from pim_runtime.hardware import load_profile
from pim_runtime.lines import LineCounts, LineProfile
from pim_runtime.timeline import Timeline
from pim_runtime.timing import LaunchWork, TransferWork

pytestmark = pytest.mark.quick

HARDWARE = load_profile("upmem-v1a")


@pytest.fixture(scope="module")
def timeline():
    """A push to four DPUs, and a launch on them with two lines of source."""
    counts = np.zeros(NR_COUNTERS, np.int64)
    for counter, count in {Counter.SLOTS: 60, Counter.STATED: 40, Counter.READS: 5, Counter.READ_BYTES: 320}.items():
        counts[counter] = count
    rows = np.broadcast_to(counts, (4, 1, 11, NR_COUNTERS)).copy()
    first, second = counts * 44 // 4, counts * 44 * 3 // 4
    lines = LineProfile(
        rows=(
            LineCounts(filename="kernel.py", line=3, counts=first),
            LineCounts(filename="kernel.py", line=5, counts=second),
        )
    )
    made = Timeline(HARDWARE)
    push = TransferWork(mode="push", nr_dpus=4, nr_ranks=1, bytes_per_dpu=8)
    made.append("write", mode="push", what="q", nr_dpus=4, nbytes=32, transfers=4, work=push, ranks=(0,))
    launch = LaunchWork(counters=(LaunchCounters.of(rows),), lines=(lines,), nr_ranks=1)
    made.append("launch", mode="synchronous", what="scores", nr_dpus=4, nbytes=0, transfers=0, work=launch, ranks=(0,))
    return made


def arguments(*given):
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_report_arguments(parser)
    return parser.parse_args(given)


def table_rows(table):
    return [dict(zip((column.name for column in table.columns), row, strict=True)) for row in table.rows]


def test_nothing_is_reported_unless_asked_for(timeline):
    assert report_sections(arguments(), timeline.rows, HARDWARE) == ()
    assert write_reports(arguments(), timeline.rows, HARDWARE, traced=timeline.rows) == ()


def test_breakdown(timeline):
    (section,) = report_sections(arguments("--breakdown"), timeline.rows, HARDWARE)
    reasons, classes = section.tables
    assert [row["reason"] for row in table_rows(reasons)] == [
        "launch", "compute", "DMA", "barrier", "transfer setup", "transfer",
    ]  # fmt: skip
    assert sum(row["time"] for row in table_rows(reasons)) == pytest.approx(timeline.now_ps / 1e6)
    assert sum(row["share"] for row in table_rows(reasons)) == pytest.approx(100)
    assert [(row["operations"], row["issue slots"]) for row in table_rows(classes)] == [
        (60 * 44, 60 * 44), (40 * 44, 40 * 44), (5 * 44, 5 * 44),
    ]  # fmt: skip
    assert "authors state 38.1 %. 0.0 % depend on data" in section.notes[0]  # 40 of 105


def test_lines(timeline):
    (section,) = report_sections(arguments("--lines"), timeline.rows, HARDWARE)
    (table,) = section.tables
    assert [(row["line"], row["share"], row["DMAs"], row["of bytes"]) for row in table_rows(table)] == [
        ("kernel.py:5", 75, 165, 10_560), ("kernel.py:3", 25, 55, 3_520),
    ]  # fmt: skip
    (section,) = report_sections(arguments("--lines", "1"), timeline.rows, HARDWARE)
    assert len(section.tables[0].rows) == 1
    (section,) = report_sections(arguments("--lines"), timeline.rows[:1], HARDWARE)
    assert (section.tables, section.notes) == ((), ("No line was counted in these launches.",))


def test_roofline(timeline):
    (section,) = report_sections(arguments("--roofline"), timeline.rows, HARDWARE)
    (row,) = table_rows(section.tables[0])
    assert (row["kernel"], row["tasklets"], row["mean DMA"]) == ("scores", 11, 64)
    assert row["intensity"] == 105 / 320
    assert row["achieved"] <= row["roof"] <= row["pipeline"] == 350


def test_every_modelled_column_says_so(timeline):
    for section in report_sections(arguments("--breakdown", "--lines", "--roofline"), timeline.rows, HARDWARE):
        for table in section.tables:
            numbers = [
                column
                for index, column in enumerate(table.columns)
                if any(isinstance(row[index], int | float) for row in table.rows)
            ]
            assert {column.origin for column in numbers} <= {"modelled", "exact"}


def test_files(timeline, tmp_path):
    asked = arguments("--trace", str(tmp_path / "trace.json"), "--expand", "0,3", "--plot", str(tmp_path))
    (section,) = write_reports(asked, timeline.rows[1:], HARDWARE, traced=timeline.rows)
    assert {path.name for path in tmp_path.iterdir()} == {"trace.json", "breakdown.svg", "roofline.svg", "dpus.svg"}
    assert len(section.notes) == 4
    names = [event["args"].get("name") for event in json.loads((tmp_path / "trace.json").read_text())["traceEvents"]]
    assert {"DPU 0.0.0", "DPU 0.0.3"} <= set(names)
    assert "DPU 0.0.1" not in names
    assert "write q" in (tmp_path / "trace.json").read_text()
    assert b"write q" not in (tmp_path / "breakdown.svg").read_bytes()


def test_a_timeline_without_time_has_no_plots(tmp_path):
    asked = arguments("--plot", str(tmp_path))
    assert write_reports(asked, [], HARDWARE, traced=[]) == ()
    assert list(tmp_path.iterdir()) == []


def test_speed_ups_are_plotted_from_their_table(tmp_path, monkeypatch):
    table = Table(
        title="Speed-up",
        columns=(Column(name="batch"), Column(name="A", origin="published"), Column(name="B", origin="modelled")),
        rows=((2, 0.5, None), (4, 1.5, None)),
    )
    drawn = []
    monkeypatch.setattr(
        "pim_runtime.report.canvas.save_plot", lambda figure, path: drawn.append((figure, path.name)) or None
    )
    plot_speedups(tmp_path, "int8", table, "Published: somewhere.")
    ((figure, name),) = drawn
    assert name == "speedup-int8.svg"
    (legend,) = figure.axes[0].get_legend().get_texts()  # a column without a number has no curve
    assert legend.get_text() == "A (published)"
    assert figure.axes[0].lines[1].get_xydata().tolist() == [[2, 0.5], [4, 1.5]]


@pytest.mark.parametrize(
    ("given", "message"),
    [(("--expand", "dpus"), "give --trace FILE"), (("--lines", "0"), "--lines 0: at least 1")],
)
def test_options_without_effect_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        check_report_arguments(arguments(*given))


@pytest.mark.parametrize("given", [("--breakdown",), ("--lines",), ("--roofline",), ("--trace", "x.json")])
def test_a_table_refuses_reports_of_one_run(given, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=f"{given[0]}: many runs"):
        refuse_without_timeline(arguments(*given), "many runs")
    refuse_without_timeline(arguments("--plot", str(tmp_path)), "many runs")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--trace", "{folder}"), "is a folder"),
        (("--trace", "{folder}/no/trace.json"), "does not exist"),
        (("--plot", "{folder}/no"), "no such folder"),
        (("--expand", "all"), "ranks, slowest, dpus, tasklets, or numbers"),
        (("--expand", "1,,2"), "numbers of DPUs"),
    ],
)
def test_bad_values_are_refused_by_the_parser(given, message, tmp_path):
    with pytest.raises(argparse.ArgumentError, match=message):
        arguments(*(part.format(folder=tmp_path) for part in given))


def test_plots_without_matplotlib_are_refused_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr(report_options, "find_spec", lambda name: None)
    with pytest.raises(argparse.ArgumentError, match=r"pip install 'pim-runtime\[report\]'"):
        arguments("--plot", str(tmp_path))
