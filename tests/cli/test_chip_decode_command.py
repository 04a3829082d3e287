"""`pim chip decode`: tokens, checks and traffic of a toy on emulated banks, and what it refuses."""

from __future__ import annotations

import json

import pytest

from pim_runtime.cli.main import main

SMALL = (
    *("--layers", "1", "--hidden", "8", "--heads", "2", "--kv-heads", "1", "--dim", "4", "--ffn", "12"),
    *("--vocabulary", "11", "--max-tokens", "12", "--banks", "2", "--engine", "interpreted"),
)


def decode(*arguments):
    return main(["chip", "decode", *SMALL, *arguments])


@pytest.mark.parametrize(
    "arguments",
    [
        ("--prompt", "3,1", "--new", "2"),
        ("--prompt-len", "1", "--new", "1", "--kv-mode", "head-per-bank", "--precision", "float"),
        ("--prompt", "7", "--new", "1", "--ffn-matrices", "2", "--partition", "1x2", "--fusion", "fused"),
    ],
)
def test_all_checks_pass(arguments, capsys, tmp_path):
    path = tmp_path / "report.json"
    assert decode(*arguments, "--json", str(path)) == 0
    printed = capsys.readouterr().out
    assert "PASS  bits of the NumPy reference" in printed
    assert "PASS  between CPU and chip only ids" in printed
    assert "E2-6" in printed
    report = json.loads(path.read_text())
    checks = [check for section in report["sections"] for check in section["checks"]]
    assert len(checks) == 5
    assert all(check["passed"] for check in checks)
    times = next(section for section in report["sections"] if section["title"] == "Time")["values"]
    assert {value["origin"] for value in times} == {"modelled", "measured here"}


@pytest.mark.quick
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--prompt", "3,11", "--new", "2"), "token 11 at place 1: the vocabulary has 0 to 10"),
        (("--prompt-len", "13", "--new", "1"), "a prompt of 13 tokens and 1 new ones"),
        (("--prompt", "3", "--prompt-len", "2"), "--prompt has a length of its own"),
        (("--new", "2", "--partition", "3x1"), "--partition 3x1: is over 3 banks, and the chip has 2"),
        (("--new", "2", "--partition", "both"), "--partition both: give oned_out, oned_in, or as in 16x8"),
        (("--new", "2", "--banks-per-head", "3"), "3 banks for each of 1 KV heads: 2 banks allow 1 to 2"),
        (("--new", "2", "--kv-mode", "head-per-bank", "--banks-per-head", "1"), "a bank for each head is one"),
        (("--new", "2", "--tile", "17"), "tiles of 17 tokens: a bank multiplies 1 to 16 vectors"),
        (("--new", "2", "--seed", "-1"), "seed -1: at least 0"),
        (("--new", "2", "--timing", "off"), "what banks read is checked by what they count"),
        (("--new", "2", "--dim", "3"), "rotary positions turn pairs"),
        (("--new", "2", "--model", "llama-7b"), "--model llama-7b has sizes of its own"),
    ],
)
def test_what_is_refused(arguments, message, capsys):
    assert decode(*arguments) == 2
    assert message in capsys.readouterr().err


@pytest.mark.quick
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--model", "llama-7b"), "weights are made up for at most"),
        (("--model", "mpt-7b"), "the integer decoder computes rms only"),
        (("--model", "tpy"), "no model 'tpy'"),
        (("--bank-kib", "1", "--vocabulary", "4000"), "are needed in a bank, which has 1,024"),
    ],
)
def test_models_that_do_not_fit(arguments, message, capsys):
    assert main(["chip", "decode", *arguments, "--engine", "interpreted"]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.quick
@pytest.mark.parametrize("text", ["", "1,,2", "a", "-1"])
def test_prompts_that_are_no_ids(text, capsys):
    with pytest.raises(SystemExit):
        decode("--prompt", text)
    assert "--prompt" in capsys.readouterr().err
