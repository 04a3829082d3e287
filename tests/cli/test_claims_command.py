"""`pim claims` as a user meets it: verdicts, exit codes, the documents' errors beside the numbers, refusals."""

from __future__ import annotations

import json

import pytest

from host.claims import checking
from pim_runtime.cli.claims import CLOCK_NOTE, NOT_YET_NOTE
from pim_runtime.cli.main import main

pytestmark = pytest.mark.quick


@pytest.fixture
def report(tmp_path, capsys):
    """`report(*arguments)` runs `pim claims` and gives (exit code, its JSON, standard output)."""

    def run(*arguments):
        file = tmp_path / "report.json"
        code = main(["claims", *arguments, "--json", str(file)])
        output = capsys.readouterr()
        assert output.err == ""
        return code, json.loads(file.read_text()), output.out

    return run


@pytest.fixture
def answers(monkeypatch):
    """`answers(**by_id)` replaces all checks by constants; "_" in a name stands for "-" in an id."""

    def install(**by_id):
        checks = {name.replace("_", "-"): lambda answer=answer: answer for name, answer in by_id.items()}
        monkeypatch.setattr(checking, "all_checks", lambda: checks)

    return install


def rows(content, claim_id):
    """Rows of a claim as {column: cell}."""
    tables = [table for section in content["sections"] for table in section["tables"]]
    return [
        dict(zip([column["name"] for column in table["columns"]], row, strict=True))
        for table in tables
        for row in table["rows"]
        if row[0] == claim_id
    ]


def counts(content):
    return {value["name"]: value["value"] for value in content["sections"][-1]["values"]}


def test_claims_that_hold(report):
    code, content, text = report("--id", "C0-2[567]", "C0-31", "--id", "B-8")
    assert (code, content["command"], content["passed"]) == (0, "claims", True)
    assert [section["title"] for section in content["sections"]] == [
        "Document 0: PIM-attention: decode attention on 1024 UPMEM DPUs",
        "Bounds and determinism, which the documents share",
        "Summary",
    ]
    assert counts(content) == {"PASS": 5, "FAIL": 0, "RECORD": 0, "NOT YET": 0}
    assert text.endswith("\nall 5 checks passed\n")


def test_every_number_stands_beside_the_expected_one_and_the_documents(report):
    _, content, text = report("--id", "C0-25")
    int32, int16, _ = rows(content, "C0-25")
    assert int32["ours"] == pytest.approx(255217 / 51326)
    assert int32 | {"ours": 0, "deviation": 0} == {
        "id": "C0-25",
        "class": "A",
        "part": "int32",
        "expected": 4.9725,
        "ours": 0,
        "deviation": 0,
        "tolerance": "rel 0.0001",
        "document prints": 4.97,
        "verdict": "PASS",
        "errors": "E0-4 E0-6",
        "claim": "speed-up over the best CPU cell at batch 32",
    }
    assert (int16["document prints"], int16["claim"]) == (4.54, "")
    assert "E0-4  wrong: int16 speed-up 4.54. Right: 130330 / 28656 = 4.5481, which rounds to 4.55.\n" in text
    assert "E0-1 " not in text
    assert "PASS  C0-25: worst deviation -0.001%; the document prints 4.54 int16\n" in text


def test_claims_without_a_check_are_said_to_have_none(report, answers):
    answers()
    code, content, text = report("--id", "C1-01", "C4-14", "C2-05")
    assert code == 0
    assert counts(content) == {"PASS": 0, "FAIL": 0, "RECORD": 1, "NOT YET": 2}
    assert NOT_YET_NOTE in text
    byte_row, gib_row = rows(content, "C1-01")
    assert (byte_row["expected"], byte_row["ours"], byte_row["verdict"]) == (19327352832, None, "NOT YET")
    assert gib_row["part"] == "GiB"
    assert "the document says 18GB" not in byte_row["claim"]
    assert {row["verdict"] for row in rows(content, "C4-14")} == {"RECORD"}
    assert [row["document prints"] for row in rows(content, "C2-05")] == [4.9e-4, 1.2e-4]


def test_texts_of_relations_and_documents_go_to_the_last_column(report, answers):
    answers()
    _, content, _ = report("--id", "C0-03")
    (row,) = rows(content, "C0-03")
    assert row["claim"] == (
        "split_tokens(S) for S in {2,3,4,16}, block and interleave layout; div_d, wrap; equal to head_per_unit; "
        "the document says a split along tokens forces Norm onto the host"
    )


def test_a_claim_that_fails_makes_the_command_fail(report, answers):
    answers(C0_31={"int32": 8, "int16": 8, "int8": 8}, C0_33=0.0625)
    code, content, text = report("--id", "C0-31", "C0-33")
    assert (code, content["passed"]) == (1, False)
    assert "FAIL  C0-31: 2 of 3 equal\n" in text
    assert text.endswith("\n1 of 2 checks FAILED: C0-31\n")
    assert CLOCK_NOTE not in text


def test_failed_times_are_put_down_to_the_clock(report, answers):
    answers(C0_20=27155.9)
    code, content, text = report("--id", "C0-20")
    assert code == 1
    assert rows(content, "C0-20")[0]["deviation"] == -5.5743
    assert "FAIL  C0-20: deviation -5.57%\n" in text
    assert CLOCK_NOTE in text


def test_without_ids_all_claims_are_there(report, answers):
    answers()
    code, content, _ = report()
    assert code == 0
    assert counts(content) == {"PASS": 0, "FAIL": 0, "RECORD": 2, "NOT YET": 111}
    assert len(content["sections"]) == 7


def test_an_unknown_id_is_refused(capsys):
    assert main(["claims", "--id", "C7-*"]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("pim claims: no claim matches 'C7-*': use an id such as C0-01")
    assert output.err.count("\n") == 1
