"""`pim chip` as a user meets it: its numbers beside the document's, its files, and one clear line for every mistake."""

from __future__ import annotations

import csv
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host.claims.registry import load_registry
from pim_runtime.cli.main import main

pytestmark = pytest.mark.quick

HEAD, FOUR = "1 bank per head", "4 banks per head"


@pytest.fixture
def report(tmp_path, capsys):
    """`report(*arguments)` runs `pim chip` and gives its JSON and its text."""

    def run(*arguments):
        file = tmp_path / "report.json"
        assert main(["chip", *arguments, "--json", str(file)]) == 0
        shown = capsys.readouterr()
        assert shown.err == ""
        return json.loads(file.read_text()), shown.out

    return run


def section(content, title):
    (found,) = [section for section in content["sections"] if section["title"] == title]
    return found


def values(found):
    return {value["name"]: value["value"] for value in found["values"]}


def table_of(found):
    (table,) = found["tables"]
    return [column["name"] for column in table["columns"]], table["rows"]


def columns_with(found, name):
    names, rows = table_of(found)
    return [[row[index] for row in rows] for index, one in enumerate(names) if one == name]


def test_table_shows_ours_beside_what_is_printed(report):
    content, text = report("table")
    published = load_registry().published["seed2_table"]
    for place, row in ((HEAD, "head_per_bank"), (FOUR, "four_banks_per_head")):
        found = section(content, place)
        ours, theirs = columns_with(found, "transfers")
        assert theirs == published[row]["lambda_count"]
        assert ours[-1] == {HEAD: 514, FOUR: 578}[place]
        (printed,) = columns_with(found, "time")
        assert printed == pytest.approx([1e6 * seconds for seconds in published[row]["seconds"]])
        (binary,) = columns_with(found, "time, GB = 2^30 B")
        (decimal,) = columns_with(found, "time, GB = 10^9 B")
        assert binary[0] == pytest.approx(751.1, rel=1e-3)
        assert decimal[0] == pytest.approx(806.5, rel=1e-3)
    (errors,) = columns_with(section(content, FOUR), "errors")
    assert errors[3] == "E2-2 E2-6 E2-7"
    assert errors[5] == "E2-4"
    assert "E2-3" in errors[6]
    for id_ in {id_ for cell in errors for id_ in cell.split()}:
        assert f"\n{id_}  wrong: " in text


@pytest.mark.parametrize(
    ("compat", "total"),
    [
        ("none", "578 lambda + 0.0009228"),
        ("formula", "578 lambda + 0.0009039"),
        ("as_printed", "642 lambda + 0.00127"),
    ],
)
def test_the_document_is_followed_as_far_as_asked(report, compat, total):
    content, _ = report("table", "--units", "seed", "--compat", compat)
    names, rows = table_of(section(content, "In the columns of document 2"))
    assert names[-1] == "total"
    assert {row[0]: row[-1] for row in rows}[FOUR] == total


def test_lambda_rates_and_its_threshold(report):
    content, _ = report("table", "--lambda", "1e-4", "--units", "seed", "--compat", "formula")
    assert values(section(content, HEAD))["tokens/s"] == pytest.approx(18.99, rel=1e-3)
    assert values(section(content, FOUR))["tokens/s"] == pytest.approx(17.03, rel=1e-3)
    assert values(section(content, FOUR))["lambda that doubles the time"] == pytest.approx(1.564, rel=1e-3)
    assert "Bound by link latency" in section(content, FOUR)["notes"][0]


def test_other_models_have_nothing_of_the_document(report):
    content, text = report("table", "--model", "mistral-7b", "--kv-mode", "banks-per-head", "--merge", "parts")
    assert len(columns_with(section(content, FOUR), "transfers")) == 1
    assert "E2-" not in text
    assert columns_with(section(content, FOUR), "transfers")[0][3] == 2 * 32


def test_what_does_not_fit_is_said_and_a_skewed_spread_is_slower(report):
    even, text = report("table", "--kv-mode", "head-per-bank", "--units", "seed")
    assert "Does not fit: llama-7b with 1 x 4,096 tokens" in text
    skewed, text = report("table", "--kv-mode", "head-per-bank", "--units", "seed", "--spread", "skewed")
    assert "1.1166 times the mean" in text
    times = [columns_with(section(one, HEAD), "time, GB = 2^30 B")[0][0] for one in (even, skewed)]
    assert times[1] / times[0] == pytest.approx(1.1166, rel=1e-4)


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.reader(file))


def test_pictures_have_their_numbers_beside_them(report, tmp_path):
    pytest.importorskip("matplotlib")
    report("table", "--plot", str(tmp_path / "places.svg"))
    rows = rows_of(tmp_path / "places.csv")
    assert rows[0][0] == "place"
    assert [row[0] for row in rows[1:]] == [HEAD, FOUR]
    assert (tmp_path / "places.svg").read_text().startswith("<?xml")
    report("sweep", "--plot", str(tmp_path / "lambda.png"))
    rows = rows_of(tmp_path / "lambda.csv")
    assert rows[0][0] == "lambda (s)"
    assert float(rows[1][1]) == pytest.approx(742.9, rel=1e-3)
    assert (tmp_path / "lambda.png").read_bytes().startswith(b"\x89PNG")


def test_max_context_by_what_is_counted(report):
    content, _ = report("max-context")
    (longest,) = columns_with(section(content, "Longest context"), "longest context")
    assert longest == [15128, 7564, 1891, 7064, 7062, 1891, 7564]
    (printed,) = columns_with(section(content, "Longest context"), "document 2")
    assert printed == [15128] + [None] * 6
    _, rows = table_of(section(content, "Placement of 4,096 tokens"))
    assert rows[1] == [1, 96, 0.0, pytest.approx(27.484, rel=1e-4), pytest.approx(1.1166, rel=1e-4)]


def test_max_context_of_what_does_not_fit(report):
    content, text = report("max-context", "--model", "llama2-70b")
    (longest,) = columns_with(section(content, "Longest context"), "longest context")
    assert set(longest) == {"weights do not fit"}
    assert "With 1 bank per head: " in text


def test_sizes_and_prefill(report):
    content, _ = report("size", "--tokens-per-s", "50,1e6")
    _, rows = table_of(section(content, "Sizes"))
    needed = {row[0]: row[1] for row in rows}
    assert needed["dies that hold the weights"] == 7
    assert needed["CRAM, softmax of one row"] == 8
    assert needed["CMEM, scores of a prompt, one head"] == 128 * 1024
    assert needed["operations per byte"] == 4
    _, rows = table_of(section(content, "Prefill"))
    assert [row[2] for row in rows] == pytest.approx([77.49, 1240], rel=1e-3)
    assert [row[3] for row in rows] == ["50+", "800+"]
    _, rows = table_of(section(content, f"Decode, {FOUR}"))
    assert rows[0][2] == pytest.approx(100 * 50 * 9.909e-4, rel=1e-3)
    content, _ = report("size", "--tokens-per-s", "50", "--lambda", "100us")
    _, rows = table_of(section(content, f"Decode, {FOUR}"))
    assert rows == [[50, "no", None, None, None, None]]


@pytest.mark.parametrize("links", ["none", "mesh"])
def test_partitions_of_the_weights(report, links):
    """C2-19 at 16 x 8; links among banks leave nothing to add up, and 1-D outputs have nothing."""
    content, text = report("size", "--bank-links", links)
    linked = ", linked" if links == "mesh" else ""
    _, rows = table_of(section(content, "Partitions of the weights"))
    found = {row[0]: row[1:] for row in rows}
    whole = found[f"1-D: outputs over 128 units{linked}"]
    assert whole[:5] == [450, 1_142_784, 1_391_872, 0, 1]
    two_d = found[f"2-D: 16 x 8 units{linked}"]
    if links == "mesh":
        assert two_d == whole
    else:
        assert two_d[:4] == [450, 1_142_784, 8 * 1_391_872, 7 * 1_391_872]
        assert two_d[4] == pytest.approx(4.8440, rel=1e-4)
    assert len(rows) == 8
    assert "Document 2 on 2-D without such links: reduction at the controller is expensive." in text


def test_sweeps_of_the_cheaper_chip(report):
    document = ("--units", "seed", "--compat", "formula")
    content, _ = report("sweep", "--chip", "aim-8die-costdown", "--cbm", "4,32", *document)
    _, rows = table_of(section(content, "Sweep"))
    assert [row[0] for row in rows] == [4, 32]
    assert rows[1][1] == pytest.approx(99.81, rel=1e-3)
    assert [row[3] for row in rows] == [pytest.approx(118.6, rel=1e-3), pytest.approx(138.6, rel=1e-3)]


def test_sweeps_say_what_does_not_fit(report):
    _, text = report("sweep", "--lens", "4096,8192")
    assert f"{FOUR}: Contexts of more than 7,564 tokens do not fit." in text
    _, text = report("sweep", "--lens", "4096", "--bits", "8", "--kv-mode", "head-per-bank")
    assert f"{HEAD}: Does not fit: " in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["table", "--model", "llama-8b"], "no model 'llama-8b'"),
        (["table", "--chip", "aim"], "no chip of banks 'aim'"),
        (["table", "--banks-per-head", "0"], "0 units per head"),
        (["table", "--banks-per-head", "129"], "129 units per head"),
        (["table", "--partition", "16x9"], "over 144 banks"),
        (["table", "--partition", "diagonal"], "as in 16x8"),
        (["table", "--partition", "0x128"], "output_parts = 0"),
        (["table", "--compat", "as_printed"], "units si"),
        (["table", "--compat", "formula", "--merge", "parts"], "compat none"),
        (["table", "--spread", "skewed", "--len", "9000"], "Split heads"),
        (["max-context", "--model", "mt-530b"], "vocabulary"),
        (["max-context", "--banks-per-head", "0"], "0 units per head"),
        (["size", "--tops", "0"], "--tops: must be positive"),
        (["size", "--tokens-per-s=-1"], "must be positive"),
        (["sweep", "--bm", "0"], "positive"),
        (["sweep", "--lens", "1.5"], "whole number"),
        (["sweep", "--lens", "0"], "context = 0"),
        (["sweep", "--lens", "1,2", "--bm", "3", "--plot", "lens.svg"], "draws one swept quantity"),
    ],
)
def test_mistakes_are_one_line(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["chip", *arguments]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert message in shown.err
    assert shown.err.startswith("pim chip: ")
    assert shown.err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["table", "--len", "0"],
        ["table", "--w-bits", "5"],
        ["table", "--len", "-3"],
        ["table", "--lambda", "fast"],
        ["table", "--lambda", "nan"],
        ["table", "--lambda=-1"],
        ["table", "--plot", "picture.pdf"],
        ["table", "--units", "cgs"],
        ["sweep", "--bm", "1,"],
        ["sweep", "--bm", "1e99"],
    ],
)
def test_options_that_cannot_be_are_refused_by_name(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["chip", *arguments])
    assert stopped.value.code == 2
    assert "usage: pim chip" in capsys.readouterr().err


words = st.sampled_from(["0", "-1", "4", "8", "1e-6", "128", "1x128", "oned_in", "parts", "seed", "formula"])
names = ["len", "w-bits", "kv-bits", "act-bits", "lambda", "banks-per-head", "partition", "merge", "units", "compat"]
commands = st.sampled_from(["table", "max-context", "size", "sweep"])


@settings(max_examples=15)
@given(command=commands, chosen=st.lists(st.tuples(st.sampled_from(names), words), max_size=4))
def test_no_combination_of_options_ends_in_a_traceback(command, chosen):
    try:
        code = main(["chip", command, *(f"--{name}={word}" for name, word in chosen)])
    except SystemExit as stopped:
        code = stopped.code
    assert code in (0, 2)
