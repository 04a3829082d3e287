"""`pim sprint dpu`: fractions, checks, and what it refuses."""

from __future__ import annotations

import json

import pytest

from pim_runtime.cli.main import main

SMALL = (
    *("--queries", "drift:0.9", "--heads", "2", "--n", "40", "--valid", "21", "--d", "6", "--positions", "2"),
    *("--tasklets", "4", "--engine", "interpreted"),
)


def dpu(*arguments):
    return main(["sprint", "dpu", *SMALL, *arguments])


@pytest.mark.parametrize(
    "arguments",
    [
        ("--keep", "0.1,0.5", "--kv-heads", "1"),
        ("--keep", "0.2", "--norm", "div_d", "--mode", "round", "--q-bits", "8", "--paging", "paged"),
        ("--keep", "0.4", "--norm", "zscore"),
        ("--keep", "0.3", "--split", "2", "--layout", "interleave", "--conservative", "on"),
    ],
)
def test_all_checks_pass(arguments, capsys, tmp_path):
    path = tmp_path / "report.json"
    assert dpu(*arguments, "--json", str(path)) == 0
    assert "E4-1" in capsys.readouterr().out
    report = json.loads(path.read_text())
    checks = [check for section in report["sections"] for check in section["checks"]]
    assert len(checks) == 4
    assert all(check["passed"] for check in checks)
    rows = report["sections"][-1]["tables"][0]["rows"]
    assert len(rows) == 1 + len(arguments[1].split(","))
    assert rows[-1][0] == "all"
    assert rows[-1][1] == 100


@pytest.mark.quick
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--keep", "0.1", "--timing", "off"), "--timing off: counts nothing"),
        (("--keep", "0.1", "--layout", "block"), "give --split, too"),
        (("--keep", "0.1", "--msb", "5"), "msb_bits = 4"),
        (("--keep", "0.1", "--noise", "2"), "noise_sigma = 0"),
        (("--keep", "0.1", "--tasklets", "1"), "2 to 24"),
        (("--keep", "0.1", "--split", "99999"), "parts per head"),
        (("--keep", "0.1", "--split", "2", "--norm", "zscore"), "whole heads"),
    ],
)
def test_what_cannot_be_run(arguments, message, capsys):
    assert dpu(*arguments) == 2
    assert message in capsys.readouterr().err
