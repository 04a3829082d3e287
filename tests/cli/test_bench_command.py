"""`pim bench micro`: its tables, their errors, and the checks that throughput saturates where the pipeline does."""

from __future__ import annotations

import json

import pytest

from host.calibration import micro
from host.calibration.published_micro import ARITHMETIC_MOPS, DMA_SIZES_BYTES, STREAM_MB_PER_S
from pim_runtime.cli.main import main


@pytest.fixture
def report(tmp_path, capsys, monkeypatch):
    """`report(*arguments)` runs `pim bench micro` with few elements and gives (exit code, its JSON)."""
    monkeypatch.setattr(micro, "NR_ELEMENTS", 1 << 16)

    def run(*arguments):
        file = tmp_path / "report.json"
        code = main(["bench", "micro", *arguments, "--json", str(file)])
        assert capsys.readouterr().err == ""
        return code, json.loads(file.read_text())

    return run


def tables(content, title):
    (found,) = [section for section in content["sections"] if section["title"] == title]
    return {table["title"]: table for table in found["tables"]}


def column(table, name):
    names = [one["name"] for one in table["columns"]]
    return [row[names.index(name)] for row in table["rows"]]


def test_arithmetic_stands_beside_the_published_rates(report):
    code, content = report("--part", "arithmetic")
    assert code == 0
    assert len(content["sections"][0]["checks"]) == len(ARITHMETIC_MOPS)
    saturated, by_tasklets = tables(content, "Arithmetic throughput").values()
    assert column(saturated, "PrIM") == list(ARITHMETIC_MOPS.values())
    assert column(saturated, "saturates at") == [11] * len(ARITHMETIC_MOPS)
    for modelled, published, error in zip(
        column(saturated, "24 tasklets"), column(saturated, "PrIM"), column(saturated, "error"), strict=True
    ):
        assert error == pytest.approx(100 * (modelled / published - 1), abs=0.005)
    assert column(by_tasklets, "tasklets") == list(range(1, 25))
    origins = {one["name"]: one["origin"] for one in saturated["columns"]}
    assert (origins["PrIM"], origins["24 tasklets"]) == ("published", "modelled")


def test_saturation_elsewhere_fails(report, monkeypatch):
    monkeypatch.setattr(micro, "arithmetic_mops", lambda kind, operation, nr_tasklets, **_: float(min(nr_tasklets, 12)))
    code, content = report("--part", "arithmetic")
    assert code == 1
    assert not any(check["passed"] for check in content["sections"][0]["checks"])


def test_mram_and_wram(report):
    code, content = report("--part", "mram", "--part", "wram")
    assert code == 0
    mram = tables(content, "MRAM bandwidth")
    assert list(mram) == [
        "Cycles per read",
        "Bandwidth of reads by tasklets",
        "Cycles per write",
        "Bandwidth of writes by tasklets",
    ]
    for table in mram.values():
        assert column(table, "size") == list(DMA_SIZES_BYTES)
    assert column(mram["Cycles per read"], "saturated")[-1] is None
    (stream,) = tables(content, "WRAM STREAM").values()
    assert column(stream, "PrIM") == list(STREAM_MB_PER_S.values())


def test_parts_are_in_the_order_of_the_help_and_operands_are_stated(report):
    _, content = report("--part", "wram", "mram")
    assert [section["title"] for section in content["sections"]] == [
        "MRAM bandwidth",
        "WRAM STREAM",
        "About these numbers",
    ]
    assert any("random integers from 0 to 2,147,483,647" in note for note in content["sections"][-1]["notes"])


@pytest.mark.parametrize("arguments", [["macro"], ["micro", "--part", "cache"], []])
def test_unknown_suites_and_parts_are_refused(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["bench", *arguments])
    assert stopped.value.code == 2
    assert "usage: pim bench" in capsys.readouterr().err


def test_parts_of_a_suite_without_parts_are_refused(capsys):
    assert main(["bench", "hazards", "--part", "mram"]) == 2
    assert capsys.readouterr().err == "pim bench: --part: only micro has parts. Leave it out\n"
