"""`pim sprint run` and `pim sprint chips` as a user meets them: numbers that belong together, files, clear refusals."""

from __future__ import annotations

import argparse
import csv

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pim_runtime.cli import sprint_chips, sprint_run
from pim_runtime.errors import PimError

pytestmark = pytest.mark.quick

SMALL = ("--n", "48", "--d", "16")


def reported(command, *arguments):
    parser = argparse.ArgumentParser(exit_on_error=False)
    command.add_arguments(parser)
    return command.run(parser.parse_args([*SMALL, *arguments]))


def section(report, title):
    (found,) = [section for section in report.sections if section.title == title]
    return found


def values(report, title):
    return {value.name: value.value for value in section(report, title).values}


def rows(report, title):
    """Rows of the table of a section by their first cell, as mappings from the names of columns."""
    (table,) = section(report, title).tables
    names = [column.name for column in table.columns]
    return {row[0]: dict(zip(names, row, strict=True)) for row in table.rows}


@pytest.fixture(scope="module")
def report():
    return reported(sprint_run, "--heads", "2")


def test_what_moves_belongs_together(report):
    moved, kept = rows(report, "Data movement"), values(report, "Pruning")["kept by a query"]
    assert list(moved) == ["baseline", "mask only", "SPRINT"]
    assert moved["SPRINT"]["load"] + moved["SPRINT"]["reuse"] == pytest.approx(kept)
    for mode in moved.values():
        assert mode["rows opened"] + mode["row hits"] == pytest.approx(mode["load"])
    assert moved["baseline"]["read"] > moved["mask only"]["read"] > moved["SPRINT"]["read"]


def test_queries_one_by_one():
    found = reported(sprint_run, "--list", "5")
    listed = rows(found, "Queries")
    assert list(listed) == [0, 1, 2, 3, 4]
    assert listed[0]["load"] == listed[0]["kept"]
    done = 0
    for row in listed.values():
        assert row["load"] + row["reuse"] == row["kept"]
        done += 24 + max(row["loads"], row["arithmetic"])
        assert row["done at"] == done
    assert len(rows(reported(sprint_run, "--list", "1000"), "Queries")) == 26


def test_time_and_energy_are_gains_over_the_baseline(report):
    for title, whole, gain in (("Time", "all", "gain of time"), ("Energy", "all", "gain")):
        table = rows(report, title)
        assert table["baseline"][gain] == 1
        per_query = {"baseline": 48, "mask only": 26, "SPRINT": 26} if title == "Time" else dict.fromkeys(table, 1)
        for mode, row in table.items():
            ratio = table["baseline"][whole] * 48 / (row[whole] * per_query[mode])
            assert row[gain] == pytest.approx(ratio if title == "Time" else ratio / 48)
    assert values(report, "Time")["speed-up, document 4"] == 7.5


def test_every_error_of_document_4_stands_beside_its_numbers(report):
    notes = {note[:4] for part in report.sections for note in part.notes}
    assert {f"E4-{number}" for number in range(1, 6)} <= notes
    assert not report.failed


def test_a_conservative_threshold_prunes_nothing_that_should_stay():
    found = reported(sprint_run, "--conservative", "on", "--q-bits", "8", "--msb", "6")
    assert [check.name for check in found.checks if check.passed] == [
        "outputs within their bound",
        "nothing pruned that should stay",
    ]
    assert values(found, "Pruning")["kept"] > 13.3


@pytest.mark.parametrize("scope", ["query", "head", "layer", "all"])
def test_any_scope_of_thresholds(scope):
    found = reported(sprint_run, "--scope", scope, "--heads", "2", "--keep", "0.25")
    assert values(found, "Pruning")["kept"] >= 25


def test_a_threshold_beyond_all_scores_keeps_the_best_token():
    found = reported(sprint_run, "--theta", "inf")
    assert values(found, "Pruning")["kept by a query"] == 1
    everything = reported(sprint_run, "--theta=-inf", "--valid", "48")
    assert values(everything, "Pruning")["kept"] == 100
    assert rows(everything, "Time")["SPRINT"]["gain of arithmetic"] == 1


def test_real_heads_without_padding():
    parser = argparse.ArgumentParser()
    sprint_run.add_arguments(parser)
    found = sprint_run.run(parser.parse_args(["--queries", "real", "--heads", "1", "--config", "L"]))
    assert values(found, "Chip")["attention"] == "1 head x 384 tokens x 32, int8"
    assert values(found, "Data movement")["overlap of adjacent queries"] > 20
    assert values(found, "Time")["speed-up, document 4"] == 7.1


def test_chips_side_by_side_with_their_picture(tmp_path):
    picture = tmp_path / "chips.svg"
    found = reported(sprint_chips, "--valid", "48", "--plot", str(picture))
    table = rows(found, "Chips")
    assert [table[size]["corelets"] for size in "SML"] == [1, 2, 4]
    gains = [table[size]["gain of arithmetic"] for size in "SML"]
    assert gains == sorted(gains, reverse=True)
    assert picture.read_text().startswith("<?xml")
    with picture.with_suffix(".csv").open(newline="") as file:
        assert [row[0] for row in csv.reader(file)][1:] == ["S", "M", "L"]


def test_energy_as_a_picture(tmp_path):
    picture = tmp_path / "energy.png"
    reported(sprint_run, "--plot", str(picture))
    assert picture.stat().st_size > 1000


def test_a_chip_of_the_users(tmp_path):
    file = tmp_path / "wide.toml"
    file.write_text(
        'base = "sprint-s"\n[corelets.count]\nvalue = 3\nunit = "corelets"\nprovenance = "assumed"\nsource = "mine"\n'
    )
    assert rows(reported(sprint_chips, "--configs", str(file), "M"), "Chips")[str(file)]["corelets"] == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--queries", "drift:2"], "0 to 1, as in drift:0.95"),
        (["--queries", "walk"], "choose drift:R"),
        (["--queries", "real"], "--n 48 with --queries real: the heads have 384"),
        (["--valid", "49"], "valid = 49 of 48 tokens"),
        (["--n", "5000"], "25,000,000 scores"),
        (["--d", "1000000"], "48,000,000 elements"),
        (["--keep", "0"], "keep_fraction"),
        (["--keep", "nan"], "keep_fraction"),
        (["--theta", "nan"], "NaN"),
        (["--msb", "8"], "choose 1 to 7"),
        (["--noise", "-1"], "noise_sigma"),
        (["--ahead", "-1"], "ahead = -1"),
        (["--config", "XL"], "no SPRINT chip 'XL'"),
    ],
)
def test_one_clear_line_for_every_mistake(arguments, message):
    with pytest.raises((ValueError, PimError), match=message) as refused:
        reported(sprint_run, *arguments)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("seed", ["-1", "0.5", "1" * 19])
def test_seeds_are_whole_numbers(seed):
    with pytest.raises(argparse.ArgumentError, match="a seed is a whole number"):
        reported(sprint_run, f"--rng={seed}")


@settings(max_examples=12, deadline=None)
@given(
    st.integers(1, 20),
    st.integers(1, 9),
    st.sampled_from(("S", "M", "L")),
    st.sampled_from(("interleave", "block")),
    st.sampled_from(("present-first", "arrivals", "stall")),
    st.integers(0, 3),
    st.floats(0.01, 1),
)
def test_any_sizes_and_uses_give_a_report(tokens, dim, config, mapping, misses, ahead, keep):
    found = reported(
        sprint_run,
        *("--n", str(tokens), "--d", str(dim), "--config", config, "--mapping", mapping, "--misses", misses),
        *("--ahead", str(ahead), "--keep", str(keep)),
    )
    assert not found.failed
