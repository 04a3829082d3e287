"""`pim attention` with every report of its time: of a run, and of the published table."""

from __future__ import annotations

import json

import pytest

from pim_runtime.cli.main import main

SMALL = ("--batch", "2", "--heads", "3", "--len", "20", "--dim", "8")


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """The folder that a small run with all reports wrote, and the report as JSON by titles of sections."""
    folder = tmp_path_factory.mktemp("reports")
    files = ("--trace", str(folder / "trace.json"), "--plot", str(folder), "--json", str(folder / "report.json"))
    assert main(["attention", *SMALL, "--breakdown", "--lines", "1000", "--roofline", *files]) == 0
    content = json.loads((folder / "report.json").read_text())
    return folder, {section["title"]: section for section in content["sections"]}


def column(table, name):
    index = [column["name"] for column in table["columns"]].index(name)
    return [row[index] for row in table["rows"]]


def test_reports_stand_beside_the_time(outcome):
    _, sections = outcome
    titles = ["Time on hardware", "Where the time goes", "Source lines", "Roofline", "Emulation", "Files"]
    assert list(sections)[2:] == titles


def test_lines_and_classes_count_the_same_slots(outcome):
    _, sections = outcome
    classes, lines = sections["Where the time goes"]["tables"][1], sections["Source lines"]["tables"][0]
    assert sum(column(classes, "issue slots")) == sum(column(lines, "issue slots")) > 0
    assert all(place.startswith("dpu_kernels/") for place in column(lines, "line"))
    assert all(column(lines, "source"))


def test_reasons_add_up_to_the_step(outcome):
    _, sections = outcome
    (step,) = sections["Time on hardware"]["tables"]
    reasons = sections["Where the time goes"]["tables"][0]
    assert sum(column(reasons, "time")) == pytest.approx(column(step, "time per step")[-1])


def test_files_are_written(outcome):
    folder, sections = outcome
    assert len(sections["Files"]["notes"]) == 4
    written = {path.name for path in folder.iterdir()}
    assert written == {"report.json", "trace.json", "breakdown.svg", "roofline.svg", "dpus.svg"}
    trace = json.loads((folder / "trace.json").read_text())
    assert trace["otherData"]["profile"] == "upmem-v1a"


def test_reports_of_one_run_are_refused_for_a_table(capsys):
    assert main(["attention", "--table", "--roofline"]) == 2
    assert "a table has many runs" in capsys.readouterr().err


def test_the_table_plots_its_speed_ups(tmp_path):
    arguments = ("--dtype", "int8", "--batch", "2", "--local-cpu", "off", "--plot", str(tmp_path))
    assert main(["attention", "--table", *arguments]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["speedup-int8.svg"]
