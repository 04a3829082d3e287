"""`pim sprint compare` and `table`: every fraction has its row, errors fall, bounds hold, pictures are of the rows."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from host.sprint.contenders import CONTENDERS
from pim_runtime.cli import sprint_compare
from pim_runtime.cli.main import main

pytestmark = pytest.mark.quick

SMALL = ("--queries", "drift:0.9", "--n", "40", "--valid", "32", "--d", "16", "--heads", "2")


NO_DPUS = ("--dpu-queries", "0")


def sections(tmp_path, *arguments):
    """The exit code, and the sections of the report by title."""
    file = tmp_path / "report.json"
    code = main(["sprint", *arguments, "--json", str(file)])
    return code, {section["title"]: section for section in json.loads(file.read_text())["sections"]}


def rows_of(section):
    (table,) = section["tables"]
    names = [column["name"] for column in table["columns"]]
    return [dict(zip(names, row, strict=True)) for row in table["rows"]]


def test_methods_are_compared_at_fractions(tmp_path):
    code, found = sections(tmp_path, "compare", *SMALL, "--keep", "0.1,0.5")
    rows = rows_of(found["Quality of selections"])
    assert code == 0
    assert [(row["method"], row["keep"]) for row in rows] == [
        (method, keep) for method in ("SPRINT", "LeOPArd", "SpAtten", "A3") for keep in (10, 50)
    ]
    for few, many in zip(rows[::2], rows[1::2], strict=True):
        assert few["error"] > many["error"]
        assert few["read"] < many["read"]
    for row in rows:
        assert row["error"] <= row["bound"]
        assert row["saved"] == pytest.approx(100 - 100 * row["read"] / (2 * 32 * 16))
    (check,) = found["Quality of selections"]["checks"]
    assert check["passed"]


def test_the_command_knows_every_method_there_is():
    assert sprint_compare.METHODS == CONTENDERS


def test_methods_can_be_chosen(tmp_path):
    _, found = sections(tmp_path, "compare", *SMALL, "--methods", "a3,sprint,a3", "--keep", "0.2")
    assert [row["method"] for row in rows_of(found["Quality of selections"])] == ["SPRINT", "A3"]


def test_a_row_for_each_fraction(tmp_path):
    code, found = sections(tmp_path, "table", *SMALL, *NO_DPUS, "--keep", "0.05,0.1,1")
    rows = rows_of(found["Fractions to keep"])
    assert code == 0
    assert [row["keep"] for row in rows] == [5, 10, 100]
    everything = rows[-1]
    assert (everything["kept"], everything["pi"], everything["overlap"]) == (100, 0, 100)
    assert everything["error"] < 0.01
    assert everything["not recomputed"] > everything["error"]
    notes = found["Fractions to keep"]["notes"]
    assert any(note.startswith("E4-2") for note in notes)


def test_conservative_thresholds_keep_more(tmp_path):
    kept = []
    for conservative in ("off", "on"):
        _, found = sections(tmp_path, "table", *SMALL, *NO_DPUS, "--keep", "0.1", "--conservative", conservative)
        kept.append(rows_of(found["Fractions to keep"])[0]["kept"])
    assert kept[0] < kept[1]


TINY = ("--queries", "random", "--n", "12", "--valid", "12", "--d", "8", "--keep", "0.1,1")


def test_dpus_are_left_out_where_they_cannot_decide(tmp_path):
    _, found = sections(tmp_path, "table", *TINY, "--msb", "3")
    assert [row["DPUs: speed-up"] for row in rows_of(found["Fractions to keep"])] == [None, None]
    assert any("DPUs are left out: keys with 3" in note for note in found["Fractions to keep"]["notes"])


def saved_heads(tmp_path, *, queries):
    """A file of 4 heads, two of each on the same K and V of 30 tokens."""
    rng = np.random.default_rng(0)
    shapes = {"q": (4, queries, 16), "k": (2, 30, 16), "v": (2, 30, 16)}
    np.savez(tmp_path / "heads.npz", **{name: rng.standard_normal(shape) for name, shape in shapes.items()})
    return ("--queries", str(tmp_path / "heads.npz"))


def test_heads_can_come_from_a_file(tmp_path):
    _, found = sections(tmp_path, "compare", *saved_heads(tmp_path, queries=20), "--methods", "sprint", "--keep", "0.2")
    assert any(
        value["value"].startswith("4 heads, 20 queries x 30 tokens x 16") for value in found["Queries"]["values"][:1]
    )
    assert rows_of(found["Quality of selections"])[0]["kept"] >= 20


def test_a_file_with_more_queries_than_tokens_is_refused(tmp_path, capsys):
    assert main(["sprint", "compare", *saved_heads(tmp_path, queries=31)]) == 2
    assert "31 queries over 30 tokens" in capsys.readouterr().err


def test_a_single_query_has_no_overlap(tmp_path):
    _, found = sections(tmp_path, "table", "--queries", "random", "--n", "1", "--d", "8", *NO_DPUS, "--keep", "1")
    assert rows_of(found["Fractions to keep"])[0]["overlap"] is None


@pytest.mark.parametrize("what", ["compare", "table"])
def test_a_picture_has_its_numbers_beside_it(tmp_path, what):
    pytest.importorskip("matplotlib")
    picture = tmp_path / "shown.svg"
    options = NO_DPUS if what == "table" else ()
    assert main(["sprint", what, *SMALL, *options, "--keep", "0.1,0.5", "--plot", str(picture)]) == 0
    assert picture.read_text().count("<path") > 5
    numbers = list(csv.reader(picture.with_suffix(".csv").read_text().splitlines()))
    assert len(numbers) == 1 + (8 if what == "compare" else 2)


@pytest.mark.parametrize("what", ["compare", "table"])
def test_help_says_what_is_taken(what, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["sprint", what, "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert "(default: real)" in shown
    assert "0.02,0.05,0.1" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("compare", "--keep", "0"), "fractions above 0"),
        (("table", "--keep", "ten"), "fractions above 0"),
        (("table", "--keep", "nan"), "fractions above 0"),
        (("compare", "--methods", "elsa"), "choose of sprint, leopard, spatten, a3"),
    ],
)
def test_wrong_arguments_are_explained(arguments, message, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["sprint", *arguments])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("table", "--msb", "9"), "msb_bits = 9"),
        (("compare", "--queries", "none"), "--queries none"),
        (("table", "--n", "5"), "--n 5 with --queries real"),
    ],
)
def test_what_cannot_be_asked_is_explained(arguments, message, capsys):
    assert main(["sprint", *arguments]) == 2
    assert message in capsys.readouterr().err
