"""`pim sprint table` with DPUs, interpreted: pruning helps where it prunes, and costs where it does not."""

from __future__ import annotations

import json

from pim_runtime.cli.main import main

TINY = ("--queries", "random", "--n", "12", "--valid", "12", "--d", "8", "--keep", "0.1,1")


def test_dpus_decode_some_of_the_queries(tmp_path):
    file = tmp_path / "report.json"
    options = ("--dpu-queries", "1", "--engine", "interpreted", "--json", str(file))
    assert main(["sprint", "table", *TINY, *options]) == 0
    section = next(one for one in json.loads(file.read_text())["sections"] if one["title"] == "Fractions to keep")
    (table,) = section["tables"]
    names = [column["name"] for column in table["columns"]]
    few, everything = (dict(zip(names, row, strict=True)) for row in table["rows"])
    assert few["DPUs: speed-up"] > 1 > everything["DPUs: speed-up"]  # dense attention, and the decision beside it
    assert few["DPUs: saved"] > everything["DPUs: saved"] < 0
    assert any("profile upmem-v1a, a head each, 1 of the queries" in note for note in section["notes"])
