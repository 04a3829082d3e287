"""Every command, program and number of the README, run again: deterministic output is compared to the letter."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from pim_runtime import DpuFaultError
from pim_runtime.cli.attention import DTYPES, NORMS
from pim_runtime.cli.main import main

README = (Path(__file__).parent.parent / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.M | re.S)
PROGRAMS = [text for language, text in BLOCKS if language == "python"]
TOUR, REPORT, C_NAMES = PROGRAMS
TEXTS = [text for language, text in BLOCKS if language == "text"]
CHECK = "$ pim check sums.py\n"
COMMANDS = [text for language, text in BLOCKS if language == "console" and text.startswith("$ pim ")]
COMMANDS = [text for text in COMMANDS if not text.startswith(CHECK)]
(CHECKED,) = [text for language, text in BLOCKS if language == "console" and text.startswith(CHECK)]
RUNS_OF_THE_SAMPLE = re.findall(r"^\| `(--\w+ \w+)` \|(?:.* \|)? (\S+) \| (\S+) \| (\S+) \|$", README, re.M)
MEASURED = re.compile(r"^.*measured here.*$", re.M)


def run_file(folder, name, source):
    """Run a program from a file, which the kernel's source is read from; gives its names."""
    path = folder / name
    path.write_text(source)
    names = {"__name__": name.removesuffix(".py"), "__file__": str(path)}
    exec(compile(source, str(path), "exec"), names)
    return names


@pytest.mark.quick
def test_the_tour_is_short_enough_to_type_in():
    assert len(TOUR.splitlines()) < 40


def test_the_tour_prints_what_the_readme_says(tmp_path, capsys):
    run_file(tmp_path, "sums.py", TOUR)
    assert capsys.readouterr().out == TEXTS[0]


def test_the_report_of_the_tour_is_what_the_readme_says(tmp_path, capsys):
    names = run_file(tmp_path, "sums.py", TOUR)
    capsys.readouterr()
    exec(REPORT, names)
    assert capsys.readouterr().out == TEXTS[2]


def test_the_c_names_do_the_same(tmp_path):
    names = run_file(tmp_path, "sums.py", TOUR)
    names["sums"][:] = 0
    exec(C_NAMES, names)
    assert (names["sums"][:, 0] == names["data"].sum(axis=1)).all()


def test_the_broken_tour_reports_what_the_readme_says(tmp_path):
    assert TOUR.count("block, 1024)") == 1
    with pytest.raises(DpuFaultError) as fault:
        run_file(tmp_path, "sums.py", TOUR.replace("block, 1024)", "block, 1020)"))
    assert f"{fault.value}\n" == TEXTS[1]


def test_the_waiting_tour_reports_what_the_readme_says(tmp_path):
    waits = "    yield barrier_wait(t, done)\n"
    assert TOUR.count(waits) == 1
    with pytest.raises(DpuFaultError) as fault:
        run_file(tmp_path, "sums.py", TOUR.replace(waits, f"    if me(t) != 3:\n    {waits}"))
    assert f"{fault.value}\n" == TEXTS[3]


def test_the_check_of_the_racing_tour_finds_what_the_readme_says(tmp_path, monkeypatch, capsys):
    (tmp_path / "sums.py").write_text(TOUR.replace("    yield barrier_wait(t, done)\n", ""))
    monkeypatch.chdir(tmp_path)
    assert main(["check", "sums.py"]) == 1
    assert_printed(CHECKED.removeprefix(CHECK), capsys.readouterr().out)


@pytest.mark.parametrize("block", COMMANDS, ids=[block.split("\n")[0] for block in COMMANDS])
def test_commands_print_what_the_readme_says(capsys, block):
    """All but the wall-clock times, which are another computer's."""
    command, shown = block.split("\n", 1)
    assert main(shlex.split(command.removeprefix("$ pim "))) == 0
    assert_printed(shown, capsys.readouterr().out)


def assert_printed(shown, out):
    """Lines of dots stand for what is left out."""
    printed = without_measurements(out)
    excerpts = re.split(r"^\.\.\.$", shown, flags=re.M)
    if len(excerpts) == 1:
        assert printed == without_measurements(shown)
    place = 0
    for excerpt in map(without_measurements, excerpts):
        assert excerpt in printed[place:]
        place = printed.index(excerpt, place) + len(excerpt)


def without_measurements(text):
    """Lines of measured values without the values; runs of spaces folded, since columns are as wide as values."""
    masked = MEASURED.sub(lambda line: re.sub(r" [\d.e+-]+ ", " # ", line[0], count=1), text)
    return "\n".join(line.strip() for line in re.sub(r" +", " ", masked).strip().splitlines())


@pytest.mark.parametrize(("options", "mean", "worst", "step_us"), RUNS_OF_THE_SAMPLE, ids=lambda cell: cell)
def test_errors_and_times_of_the_sample(tmp_path, options, mean, worst, step_us):
    file = tmp_path / "report.json"
    assert main(["attention", *options.split(), "--json", str(file)]) == 0
    sections = {section["title"]: section for section in json.loads(file.read_text())["sections"]}
    same_integers, *unquantised = sections["Accuracy"]["tables"][0]["rows"]
    error = unquantised[0] if options.startswith("--dtype") else same_integers
    for stated, found in ((mean, error[1]), (worst, error[2])):
        assert found < float(stated[1:]) if stated.startswith("<") else stated == f"{found:.2g}"
    assert step_us == f"{sections['Time on hardware']['tables'][0]['rows'][-1][1]:,.0f}"


@pytest.mark.quick
def test_all_tables_of_runs_are_found():
    assert [options for options, *_ in RUNS_OF_THE_SAMPLE] == [
        *(f"--norm {norm}" for norm in NORMS),
        *(f"--dtype {dtype}" for dtype in DTYPES),
    ]


@pytest.mark.quick
def test_both_commands_are_make_targets():
    makefile = (Path(__file__).parent.parent / "Makefile").read_text()
    for target in re.findall(r"`?make (\w+)`?", README):
        assert re.search(rf"^{target}:", makefile, re.M), target
