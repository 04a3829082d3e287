"""`pim attacc` as a user meets it: what it reports, pictures, exit codes, and one clear line for every mistake."""

from __future__ import annotations

import csv
import json

import pytest

from pim_runtime.cli.main import main

pytestmark = pytest.mark.quick

SHORT = ("--lin", "128", "--lout", "16")


@pytest.fixture
def report(tmp_path, capsys):
    """`report(*arguments)` runs `pim attacc` and gives (exit code, sections by title)."""

    def run(*arguments):
        file = tmp_path / "report.json"
        code = main(["attacc", *arguments, "--json", str(file)])
        assert capsys.readouterr().err == ""
        return code, {section["title"]: section for section in json.loads(file.read_text())["sections"]}

    return run


def rows_of(section, table=0):
    found = section["tables"][table]
    names = [column["name"] for column in found["columns"]]
    return [dict(zip(names, row, strict=True)) for row in found["rows"]]


def values_of(section):
    return {value["name"]: value["value"] for value in section["values"]}


def errors_of(section):
    return [note.split()[0] for note in section["notes"] if note.startswith("E1-")]


def test_a_step_beside_the_public_simulator(report):
    code, sections = report("iterate", "--system", "2xdgx", "--batch", "54", "--lout", "2048")
    step = sections["Step of 54 requests"]
    rows = {row["parts"]: row for row in rows_of(step)}
    assert code == 0
    assert rows["all"]["mean step"] == pytest.approx(49.30, rel=1e-3)
    assert rows["all"]["mean, public AttAcc simulator"] == 49.30
    assert rows["attention"]["mean, public AttAcc simulator"] == 17.31
    assert sum(row["mean step"] for name, row in rows.items() if name != "all") == pytest.approx(
        rows["all"]["mean step"]
    )
    assert values_of(step)["throughput"] == pytest.approx(54e3 / rows["all"]["mean step"])
    # Two operations per weight and token at most at the peak of 16 GPUs.
    assert values_of(step)["prompts"] > 2 * 174e9 * 54 * 2048 / (16 * 312e12)


def test_parts_of_a_step_and_what_they_overlap(report):
    _, sections = report("iterate", *SHORT, "--batch", "40")
    tree = rows_of(sections["Parts of the mean step"])
    values = values_of(sections["System"])
    assert (values["system"], values["schedule"], values["feed-forward networks"]) == (
        "dgx+attacc",
        "head_level",
        "coprocessed",
    )
    whole = tree[0]
    parts = [row for row in tree if row["part"].startswith("  ") and row["part"][2] != " "]
    assert sum(row["time"] for row in parts) == pytest.approx(whole["time"])
    assert {row["part"].strip() for row in parts if row["overlaps"]} == {
        "qkv",
        "transfers",
        "softmax",
        "projection",
        "ffn_up",
        "ffn_down",
    }
    energy = rows_of(sections["Step of 40 requests"], 1)[-1]
    assert energy["all"] == pytest.approx(sum(value for name, value in energy.items() if name not in ("parts", "all")))


def test_errors_stand_beside_what_they_concern(report):
    _, sections = report("iterate", *SHORT, "--batch", "10000", "--schedule", "batch_level", "--energy-mode", "public")
    step = sections["Step of 10000 requests"]
    assert errors_of(step) == ["E1-1", "E1-2", "E1-5", "E1-7"]
    assert any(note.startswith("10,000 requests do not fit") for note in step["notes"])
    assert values_of(sections["System"])["of which attention's memory holds"] < 10_000


def test_batches_under_limits(report):
    code, sections = report("slo", "--slo", "30ms", "50ms", "none", "--lin", "512", "--lout", "512")
    batches = sections["Batches"]
    found = [[row[f"{name}: batch"] for name in ("dgx", "dgx_large", "dgx+attacc")] for row in rows_of(batches)]
    assert code == 0
    assert found == [[9, 9, 78], [70, 81, 174], [70, 212, 212]]
    assert [row["the same, public AttAcc simulator"] for row in rows_of(batches)] == [8.50, 1.91, 1.62]
    assert errors_of(batches) == ["E1-1", "E1-2", "E1-3", "E1-4", "E1-7", "E1-8"]


def test_a_limit_that_nothing_meets(report):
    code, sections = report("slo", "--slo", "1ms", *SHORT)
    (check,) = sections["Batches"]["checks"]
    (row,) = rows_of(sections["Batches"])
    assert code == 1
    assert not check["passed"]
    assert check["detail"].startswith("by none; a single request takes ")
    assert row["dgx+attacc: batch"] == 1
    assert sections["Batches"]["tables"][0]["rows"][0].count("SLO not met") == 3


def test_systems_side_by_side(report, tmp_path):
    picture = tmp_path / "systems.svg"
    code, sections = report("compare", *SHORT, "--batch", "20", "--plot", str(picture))
    rows = rows_of(sections["Mean step"])
    times = {row["system"]: row["all"] for row in rows}
    assert code == 0
    assert min(times, key=times.get) == "AttAcc, head_level and feed-forward"
    assert max(times, key=times.get) in ("dgx-cpu", "AttAcc, batch_level")
    assert rows[0]["over dgx"] == 1
    assert picture.read_text().startswith("<?xml")
    assert "dgx-cpu takes" not in picture.read_text()
    with (tmp_path / "systems.csv").open() as file:
        assert [row["system"] for row in csv.DictReader(file)] == list(times)


def test_placements(report):
    _, sections = report("placement", *SHORT)
    times = {(row["units at"], row["limit of power"]): row["time"] for row in rows_of(sections["Placements"])}
    assert list(times) == [
        ("bank", "on"),
        ("bank", "off"),
        ("bank-group", "on"),
        ("bank-group", "off"),
        ("buffer", "on"),
        ("GPUs", None),
    ]
    assert times["bank", "off"] < times["bank", "on"] < times["bank-group", "off"] < times["bank-group", "on"]
    assert errors_of(sections["Placements"]) == ["E1-7"]


def test_shared_heads(report, tmp_path):
    picture = tmp_path / "gqa.png"
    arguments = ("--groups", "1,8", "--rows", "1,8", *SHORT, "--slo", "30ms", "--area-per-row", "0.2")
    _, sections = report("gqa", *arguments, "--plot", str(picture))
    rows = rows_of(sections["Trade-off"])
    assert [(row["query heads that share"], row["rows of a unit"]) for row in rows] == [(1, 1), (1, 8), (8, 1), (8, 8)]
    assert rows[3]["attention"] == pytest.approx(rows[0]["attention"] / 8)
    assert rows[3]["area"] == pytest.approx(2.4)
    assert errors_of(sections["Trade-off"]) == ["E1-6"]
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_gains_of_batching(report):
    _, sections = report("fc", "--batches", "1,64,128")
    rows = rows_of(sections["Throughput over the batch"])
    assert [row["gain, public AttAcc simulator"] for row in rows] == [1.0, 56.5, 85.4]
    assert [row["their gain"] for row in rows] == pytest.approx([1.0, 56.5, 85.4], rel=1e-3)
    assert rows[2]["its gain"] < 9


def test_throughput_over_the_limit_as_a_picture(report, tmp_path):
    long = ("--lin", "4000", "--lout", "4")
    _, sections = report("slo", "--slo", "50ms", *long, "--plot", str(tmp_path / "slo.svg"))
    assert (tmp_path / "slo.svg").exists()
    with (tmp_path / "slo.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["system"] for row in rows} == {"dgx", "dgx_large", "dgx+attacc"}
    assert all(float(row["tokens/s (modelled)"]) > 0 and 0 < float(row["limit (ms)"]) < 101 for row in rows)
    assert sections["Files"]["notes"][0].startswith("picture: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("iterate", "--system", "dgx", "--pim", "bank"), "--pim: dgx has no PIM; take --system dgx+attacc"),
        (("iterate", "--system", "dgx", "--ffn", "on"), "there is no PIM"),
        (("iterate", "--lout", "1"), "give at least 2 for a step"),
        (("iterate", "--schedule", "batch_level", "--ffn", "on"), "keeps the PIM busy"),
        (("iterate", "--ffn-round", "attacc"), "two feed-forward matrices, not three"),
        (("iterate", "--model", "gpt4"), "gpt4"),
        (("slo", "--model", "mt-530b"), "resident already"),
        (("gqa", "--groups", "5"), "groups of 5 query heads"),
    ],
)
def test_mistakes_are_one_line(arguments, message, capsys):
    assert main(["attacc", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("iterate", "--batch", "0"),
        ("iterate", "--lin", "-5"),
        ("slo", "--slo", "0ms"),
        ("slo", "--slo", "soon"),
        ("gqa", "--rows", "1,x"),
        ("gqa", "--area-per-row", "-1"),
        ("fc", "--batches", ""),
        (),
    ],
)
def test_wrong_arguments(arguments, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["attacc", *arguments])
    assert exit_.value.code == 2
    assert "Traceback" not in capsys.readouterr().err
