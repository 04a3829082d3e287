"""`pim plan`: ranks, says what bounds a design, and refuses what cannot be."""

from __future__ import annotations

import csv
import json

import pytest

from pim_runtime.cli.main import main

pytestmark = pytest.mark.quick


def planned(tmp_path, *arguments):
    """The exit code, and the tables and checks of the report by section title."""
    file = tmp_path / "plan.json"
    code = main(["plan", *arguments, "--json", str(file)])
    return code, {section["title"]: section for section in json.loads(file.read_text())["sections"]}


def rows_of(section):
    *_, table = section["tables"]
    names = [column["name"] for column in table["columns"]]
    return [dict(zip(names, row, strict=True)) for row in table["rows"]]


def test_designs_are_ranked_and_say_what_bounds_them(tmp_path):
    code, sections = planned(
        tmp_path, "llama-7b", "--hardware", "aim-8die", "--bits", "4", "--len", "2048", "--goal", "throughput"
    )
    designs = rows_of(sections["Designs"])
    assert code == 0
    assert [design["rank"] for design in designs] == list(range(1, 11))
    speeds = [design["tokens"] for design in designs]
    assert speeds == sorted(speeds, reverse=True)
    assert {design["bound by"] for design in designs} == {"compute", "unit bandwidth"}
    parts = rows_of(next(section for title, section in sections.items() if title.startswith("The best: ")))
    assert parts[0]["time"] == pytest.approx(designs[0]["step"])
    assert [row["part"].strip() for row in parts if row["part"].startswith("  ") and row["part"][2] != " "] == [
        "weights",
        "kv",
    ]


def test_machines_are_compared(tmp_path):
    _, sections = planned(tmp_path, "llama2-7b", "--hardware", "dgx", "aim-8die", "--bits", "4", "--len", "512")
    machines, best = sections["Designs"]["tables"]
    assert [row[1] for row in machines["rows"]] == ["aim-8die", "dgx"]
    assert {row[1] for row in best["rows"]} == {"aim-8die"}


def test_an_slo_that_nothing_meets_is_said(tmp_path, capsys):
    code, sections = planned(tmp_path, "gpt3-175b", "--hardware", "dgx", "--bits", "16", "--slo", "1ms")
    (check,) = sections["Question"]["checks"]
    assert code == 1
    assert not check["passed"]
    assert check["detail"].startswith("0 of ")
    assert "FAIL  the SLO of 1 ms is met: 0 of " in capsys.readouterr().out


def test_the_picture_comes_with_its_numbers(tmp_path):
    pytest.importorskip("matplotlib")
    picture = tmp_path / "plan.png"
    code, sections = planned(
        tmp_path, "llama-7b", "--hardware", "aim-8die", "--bits", "4", "--slo", "2ms", "--plot", str(picture)
    )
    with (tmp_path / "plan.csv").open() as file:
        rows = list(csv.reader(file))
    points = {value["name"]: value["value"] for value in sections["Question"]["values"]}["design points"]
    assert code == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert len(rows) == 1 + points


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no-such-model"], "no model 'no-such-model'"),
        (["llama-7b", "--hardware", "abacus"], "no machine 'abacus'"),
        (["llama-7b", "--hardware", "aim-8die", "--bits", "16"], "bytes are resident already"),
        (["llama-7b", "--hardware", "aim-8die", "--goal", "energy"], "neither energy nor power"),
        (["llama-7b", "--hardware", "dgx", "--scope", "attention"], "Take scope model"),
        (["gpt3-175b", "--hardware", "a100-40"], "bytes are resident already"),
        (["mt-530b", "--hardware", "aim-8die"], "vocabulary was not published"),
        (["llama-7b", "--hardware", "aim-8die", "--bits", "4", "--batch", "999"], "it takes 1 to 1 requests"),
    ],
)
def test_what_cannot_be_planned_is_an_error(arguments, message, capsys):
    assert main(["plan", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("pim plan: ")
    assert message in error


@pytest.mark.parametrize("wrong", [["--slo", "0"], ["--len", "-1"], ["--batch", "0"], ["--goal", "x"], ["--bits", "5"]])
def test_options_are_checked(wrong, capsys):
    with pytest.raises(SystemExit):
        main(["plan", "llama-7b", *wrong])
    assert wrong[0] in capsys.readouterr().err
