"""--timing and --clock: the same answers with other kernel times, and what a report says of them."""

from __future__ import annotations

import argparse
import json

import pytest

from pim_runtime.cli.main import main
from pim_runtime.cli.timing_options import add_timing_options, chosen_options, kernel_time_note, timed_machine
from pim_runtime.hardware import load_profile

ATTENTION = ("attention", "--batch", "2", "--heads", "3", "--len", "20", "--dim", "8", "--dtype", "int16")
BATCHING = ("batching", "--requests", "4", "--len", "32", "--dim", "8", "--new-tokens", "4", "--dpus", "2")
BATCHING += ("--norm", "div_d", "--mram-kib", "16", "--tasklets", "5", "--paging", "paged")


def parsed(*given):
    parser = argparse.ArgumentParser()
    add_timing_options(parser)
    return parser.parse_args(given)


@pytest.fixture
def launch_us(tmp_path):
    """`launch_us(*arguments)` runs `pim attention`: (outputs, microseconds of "run", notes of the time section)."""

    def run(*arguments):
        file = tmp_path / "report.json"
        assert main([*ATTENTION, *arguments, "--json", str(file)]) == 0
        sections = {section["title"]: section for section in json.loads(file.read_text())["sections"]}
        (table,), values = sections["Time on hardware"]["tables"], sections["Workload"]["values"]
        (time_us,) = [row[1] for row in table["rows"] if row[0] == "run"]
        (outputs,) = [value["value"] for value in values if value["name"] == "first outputs"]
        return outputs, time_us, sections["Time on hardware"]["notes"]

    return run


def test_the_choice_changes_times_and_no_result(launch_us):
    outputs, exact_us, notes = launch_us("--timing", "exact")
    assert "counted on every DPU" in notes[-1]
    for timing in ("sample:2", "static", "off"):
        same, other_us, notes = launch_us("--timing", timing)
        assert same == outputs
        assert (other_us == 0) == (timing == "off") == ("not modelled" in notes[-1])
        assert other_us == 0 or other_us == pytest.approx(exact_us, rel=0.2)
    same, event_us, notes = launch_us("--timing", "exact", "--clock", "event")
    assert same == outputs
    assert event_us != exact_us
    assert event_us == pytest.approx(exact_us, rel=0.1)
    assert notes[-1].endswith("Kernel time: event form.")


def test_reports_of_a_run_without_kernel_time(capsys, tmp_path):
    files = ("--trace", str(tmp_path / "trace.json"), "--plot", str(tmp_path))
    assert main([*ATTENTION, "--timing", "off", "--breakdown", "--lines", "--roofline", *files]) == 0
    assert "No line was counted in these launches." in capsys.readouterr().out
    assert [path.name for path in tmp_path.glob("*.svg")] == ["breakdown.svg"]


def test_batching_reports_its_timeline(capsys, tmp_path):
    assert main([*BATCHING, "--breakdown", "--lines", "3", "--roofline", "--trace", str(tmp_path / "trace.json")]) == 0
    printed = capsys.readouterr().out
    for title in ("Where the time goes", "Source lines", "Roofline", "Files"):
        assert f"\n{title}\n----" in printed
    names = {event.get("name") for event in json.loads((tmp_path / "trace.json").read_text())["traceEvents"]}
    assert any(name and name.startswith("launch") for name in names)


@pytest.mark.quick
@pytest.mark.parametrize("option", [("--breakdown",), ("--trace", "trace.json"), ("--plot", "plots")])
def test_two_timelines_have_no_common_report(capsys, tmp_path, monkeypatch, option):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plots").mkdir()
    assert main(["batching", *option]) == 2
    assert f"{option[0]}: each paging has a timeline; give --paging" in capsys.readouterr().err


@pytest.mark.quick
def test_options_of_engine_and_machine():
    default, other = parsed(), parsed("--timing", "sample:3", "--clock", "event")
    assert chosen_options(default).timing == "sample:8"
    assert chosen_options(other, engine="interpreted").timing == "sample:3"
    hardware = load_profile("upmem-v1a")
    assert [timed_machine(chosen, hardware).clock for chosen in (default, other)] == ["closed", "event"]
    assert "counted on 3 DPUs of a launch" in kernel_time_note(other)
    assert "assumed by the profile" in kernel_time_note(parsed("--timing", "static"))


@pytest.mark.quick
@pytest.mark.parametrize("wrong", [("--timing", "sample:0"), ("--timing", "fast"), ("--clock", "open")])
def test_unknown_choices_are_refused(capsys, wrong):
    with pytest.raises(SystemExit, match="2"):
        parsed(*wrong)
    assert wrong[1] in capsys.readouterr().err
