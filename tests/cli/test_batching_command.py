"""`pim batching` as a user meets it: what it reports, its exit codes, and one clear line for every mistake."""

from __future__ import annotations

import json

import pytest

from host.attention import batching_experiment
from pim_runtime.cli.main import main

SMALL = ("--requests", "12", "--len", "64", "--dim", "8", "--new-tokens", "8", "--dpus", "2", "--norm", "div_d")
SMALL += ("--mram-kib", "16", "--tasklets", "5")


@pytest.fixture
def report(tmp_path, capsys):
    """`report(*arguments)` runs `pim batching` and gives (exit code, its JSON)."""

    def run(*arguments):
        file = tmp_path / "report.json"
        code = main(["batching", *SMALL, *arguments, "--json", str(file)])
        assert capsys.readouterr().err == ""
        return code, json.loads(file.read_text())

    return run


def section(content, title):
    (found,) = [section for section in content["sections"] if section["title"] == title]
    return found


def checks(content):
    return {check["name"]: check["passed"] for check in section(content, "Checks")["checks"]}


def test_both_pagings_are_compared(report):
    code, content = report()
    assert code == 0
    assert [section["title"] for section in content["sections"]] == ["Requests", "Time on hardware", "Memory", "Checks"]
    assert checks(content) == dict.fromkeys(
        [
            "contiguous: bit-exact with the integer reference",
            "contiguous: nothing leaked",
            "paged: bit-exact with the integer reference",
            "paged: nothing leaked",
            "both pagings give the same answers",
        ],
        True,
    )
    (table,) = section(content, "Time on hardware")["tables"]
    tokens = next(v["value"] for v in section(content, "Requests")["values"] if v["name"] == "tokens to decode")
    for paging, row in zip(("contiguous", "paged"), table["rows"], strict=True):
        name, steps, per_step, append, join, decode, step, per_second = row
        assert name == paging
        assert steps * per_step == pytest.approx(tokens)
        assert step == pytest.approx(append + join + decode)
        assert per_second == pytest.approx(1e6 * per_step / step)


@pytest.mark.parametrize("paging", ["contiguous", "paged"])
def test_one_paging_alone(report, paging):
    code, content = report("--paging", paging, "--seed", "3")
    assert code == 0
    assert len(checks(content)) == 2
    assert {name.split(":")[0] for name in checks(content)} == {paging}


def test_a_wrong_answer_fails_the_command(report, monkeypatch):
    original = batching_experiment.expected_answers
    monkeypatch.setattr(batching_experiment, "expected_answers", lambda *args, **kw: original(*args, **kw) + 1)
    code, content = report()
    assert code == 1
    failed = [name for name, passed in checks(content).items() if not passed]
    assert failed == [f"{paging}: bit-exact with the integer reference" for paging in ("contiguous", "paged")]


@pytest.mark.quick
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--requests", "0"), "0 requests: a trace has at least 1"),
        (("--new-tokens", "65"), "up to 65 new tokens in contexts of up to 64"),
        (("--arrivals", "0"), "0.0 arrivals per step"),
        (("--seed", "-1"), "seed -1"),
        (("--heads", "3"), "3 query heads on 2 KV heads"),
        (("--mram-kib", "2"), "the longest context that fits is"),
        (("--mram-kib", "0"), "dpu.mram_bytes"),
        (("--dpus", "0"), "1 parts per head on 0 DPUs"),
        (("--tasklets", "1"), "1 tasklets"),
    ],
)
def test_mistakes_are_one_line(capsys, arguments, message):
    assert main(["batching", *SMALL, *arguments]) == 2
    output = capsys.readouterr()
    assert (output.out, output.err.count("\n")) == ("", 1)
    assert message in output.err
