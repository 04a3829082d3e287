"""`pim attacc run` as a user meets it: what the device computed and executed, and one clear line for every mistake."""

from __future__ import annotations

import argparse

import pytest

from host.attention import host_memory
from pim_runtime.cli import attacc_options, attacc_run
from pim_runtime.errors import PimError

pytestmark = pytest.mark.quick

SMALL = ("--batch", "2", "--heads", "2", "--len", "20", "--dim", "8", "--emulator", "off")


@pytest.fixture
def run():
    """`run(*arguments)` gives the report of a small run."""

    def report(*arguments):
        parser = argparse.ArgumentParser()
        attacc_run.add_arguments(parser)
        return attacc_run.run(parser.parse_args([*SMALL, *arguments]))

    return report


def section(report, title):
    (found,) = [section for section in report.sections if section.title == title]
    return found


def values(report, title):
    return {value.name: value.value for value in section(report, title).values}


def commands(report):
    (table,) = section(report, "Commands").tables
    return {row[0]: row[2:] for row in table.rows}


@pytest.mark.parametrize("placement", attacc_options.PLACEMENTS)
@pytest.mark.parametrize("dtype", attacc_run.DTYPES)
def test_every_placement_and_type(run, placement, dtype):
    report = run("--pim", placement, "--dtype", dtype)
    assert [check.name for check in report.checks] == [
        "bit-exact with the integer reference",
        "commands as stated",
        "time as stated",
    ]
    assert not report.failed
    assert values(report, "Device")["channels with heads"] == 4
    assert all(executed == stated for executed, stated in commands(report).values() if stated is not None)


def test_the_kernel_of_the_emulator(run):
    report = run("--emulator", "interpreted")
    (check,) = [check for check in report.checks if "emulated DPUs" in check.name]
    assert check.passed
    assert check.detail.startswith("40 of 40 integers")  # of 4 heads: maximum, sum, 8 elements


def test_queries_that_share_k_and_v(run):
    """The multiplications of a row serve two queries; everything else is per query."""
    alone, shared = (run("--heads", "8", "--kv-heads", "2", "--rows", rows, "--stacks", "1") for rows in ("1", "2"))
    for name, (executed, _) in commands(alone).items():
        factor = 2 if name in ("SETH", "MAC_AB") else 1
        assert executed == factor * commands(shared)[name][0], name
    assert values(alone, "Reading")["read from banks"] == 2 * values(shared, "Reading")["read from banks"]
    assert values(alone, "Time")["executed"] == pytest.approx(2 * values(shared, "Time")["executed"])


def test_few_kv_heads_are_not_compared_with_the_closed_form(run):
    report = run("--heads", "4", "--kv-heads", "1")
    assert "time as stated" not in [check.name for check in report.checks]
    assert "where these are stored" in section(report, "Time").notes[0]
    assert values(report, "Time")["executed"] == pytest.approx(4 * values(report, "Time")["closed form"])


def test_the_error_of_the_document_stands_beside_the_counts(run):
    assert section(run(), "Commands").notes[0].startswith("E1-7  wrong: ")


def test_a_seed_of_its_own(run):
    first, again, other = (run("--seed", seed) for seed in ("1", "1", "2"))
    assert first == again
    assert commands(first) == commands(other)


def test_commands_in_a_file(run, tmp_path):
    file = tmp_path / "commands.txt"
    report = run("--stream", str(file))
    lines = file.read_text().splitlines()
    executed = sum(executed for executed, _ in commands(report).values())
    assert len(lines) * 4 == executed  # four channels do the same
    assert lines[0].split()[1] == "SETM"
    assert values(report, "Files") == {"commands": str(file)}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--seed", "-1"), "--seed -1: at least 0"),
        (("--kv-heads", "3"), "2 query heads on 3 KV heads"),
        (("--len", "1000000000", "--dim", "1000000"), "exceed the .* bytes of this computer"),
        (
            ("--len", "5000000", "--dim", "1", "--heads", "1", "--batch", "1"),
            "1 heads .* per channel: its banks hold 0",
        ),
    ],
)
def test_what_cannot_be_run(run, arguments, message):
    with pytest.raises((PimError, ValueError), match=message):
        run(*arguments)


def test_rows_that_this_computer_has_no_memory_for(run, monkeypatch):
    """A token of one element takes a column of a bank, 128 times as much."""
    monkeypatch.setattr(host_memory, "host_memory_bytes", lambda: 2**20)
    with pytest.raises(ValueError, match=r"2,097,152 bytes of the rows .* exceed the 1,048,576 bytes of this computer"):
        run("--len", "2000", "--dim", "1", "--heads", "4", "--batch", "1")


@pytest.mark.parametrize("arguments", [("--batch", "0"), ("--rows", "-1"), ("--len", "x"), ("--pim", "chip")])
def test_what_is_no_argument(run, arguments, capsys):
    with pytest.raises(SystemExit):
        run(*arguments)
    assert arguments[0] in capsys.readouterr().err
