"""The validation tables of the README are what their script makes of a run of today."""

from __future__ import annotations

import pytest

from benchmarks.readme_tables import README, TABLES, split_at, table_text


@pytest.mark.quick
def test_transfers():
    assert split_at("transfers", README.read_text())[1] == table_text("transfers")


@pytest.mark.parametrize("name", sorted(set(TABLES) - {"transfers"}))
def test_what_runs_kernels(name):
    assert split_at(name, README.read_text())[1] == table_text(name)


@pytest.mark.quick
def test_a_missing_table_is_named():
    mark = "<!-- kernels: written by python -m benchmarks.readme_tables -->\n"
    before, table, after = split_at("kernels", f"a\n{mark}b\n<!-- end of table -->\nc\n")
    assert (before, table, after) == (f"a\n{mark}", "b\n", "<!-- end of table -->\nc\n")
    with pytest.raises(ValueError, match="no table 'kernels'"):
        split_at("kernels", f"a\n{mark}b\n")
