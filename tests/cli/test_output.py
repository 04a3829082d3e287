"""Reports: what they hold, how they look on a terminal and in a pipe, and what other programs read."""

from __future__ import annotations

import io
import json
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pim_runtime.cli import progress as progress_module
from pim_runtime.cli.json_file import report_as_json, write_json
from pim_runtime.cli.output import Check, Column, Report, Section, Table, Value
from pim_runtime.cli.render import format_cell, print_report

pytestmark = pytest.mark.quick

TABLE = Table(
    title="Latency",
    columns=(Column(name="KV length"), Column(name="latency", unit="ms", origin="modelled"), Column(name="note")),
    rows=((256, np.float64(1.23456), "warm [not markup]"), (np.int64(65536), Decimal("12.5"), None)),
)
REPORT = Report(
    title="A report",
    sections=(
        Section(
            title="Numbers",
            values=(Value(name="power", value=23.22, unit="W", origin="published", source="a paper"),),
            tables=(TABLE,),
            notes=("A note.",),
            checks=(Check(name="bits agree", passed=True, detail="64 of 64"), Check(name="no fault", passed=True)),
        ),
    ),
)
FAILED = Report(
    title="Bad",
    sections=(
        Section(title="One", checks=(Check(name="first", passed=False, detail="1 != 2"),)),
        Section(title="Two", checks=(Check(name="second", passed=True),)),
    ),
)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def text_of(report, stream=None):
    stream = stream or io.StringIO()
    print_report(report, stream)
    return stream.getvalue()


def test_plain_text_is_aligned_and_names_every_unit_and_origin():
    assert (
        text_of(REPORT)
        == """\
A report
========

Numbers
-------
  what   value  unit  origin     source
  power  23.22  W     published  a paper

Latency
  KV length       latency  note
             ms, modelled
        256         1.235  warm [not markup]
     65,536          12.5  -
A note.
PASS  bits agree: 64 of 64
PASS  no fault

all 2 checks passed
"""
    )


def test_failed_checks_are_named_last():
    assert text_of(FAILED).endswith("FAIL  first: 1 != 2\n\nTwo\n---\nPASS  second\n\n1 of 2 checks FAILED: first\n")
    assert [check.name for check in FAILED.failed] == ["first"]


def test_a_terminal_gets_the_same_content_with_rich():
    pytest.importorskip("rich")
    words = text_of(REPORT, Terminal())
    assert words != text_of(REPORT)
    for word in ("KV length", "ms, modelled", "65,536", "warm [not markup]", "published", "all 2 checks passed"):
        assert word in words


def test_a_terminal_without_rich_gets_plain_text(monkeypatch):
    monkeypatch.setattr("pim_runtime.cli.render.find_spec", lambda name: None)
    assert text_of(REPORT, Terminal()) == text_of(REPORT)


def test_an_empty_table_prints_its_heading():
    table = Table(title="", columns=(Column(name="a"), Column(name="bb")), rows=())
    assert "  a  bb\n" in text_of(Report(title="T", sections=(Section(title="S", tables=(table,)),)))


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (None, "-"),
        (True, "yes"),
        (np.bool_(False), "no"),
        (0, "0"),
        (-1234567, "-1,234,567"),
        (np.uint8(255), "255"),
        (0.0, "0"),
        (1 / 3, "0.3333"),
        (9999.4, "9999"),
        (12345.6, "12,346"),
        (2.5e-7, "2.5e-07"),
        (3e15, "3e+15"),
        (float("nan"), "nan"),
        (Decimal("0.5458"), "0.5458"),
        (Decimal("1234.5"), "1,234.5"),
        ("as it is", "as it is"),
    ],
)
def test_cells_are_written_for_people(cell, text):
    assert format_cell(cell) == text


def test_a_row_of_another_length_is_refused():
    with pytest.raises(ValueError, match=r"table 'T', row 1: 1 cells for 2 columns"):
        Table(title="T", columns=(Column(name="a"), Column(name="b")), rows=((1, 2), (3,)))


def test_json_holds_everything_in_plain_types(tmp_path):
    path = tmp_path / "report.json"
    write_json(path, report_as_json(REPORT, command="demo", version="1.2"))
    content = json.loads(path.read_text())
    assert {key: content[key] for key in ("command", "version", "title", "passed")} == {
        "command": "demo",
        "version": "1.2",
        "title": "A report",
        "passed": True,
    }
    (section,) = content["sections"]
    assert section["values"] == [
        {"name": "power", "value": 23.22, "unit": "W", "origin": "published", "source": "a paper"}
    ]
    assert section["tables"][0]["columns"][1] == {"name": "latency", "unit": "ms", "origin": "modelled"}
    assert section["tables"][0]["rows"] == [[256, 1.23456, "warm [not markup]"], [65536, 12.5, None]]
    assert section["notes"] == ["A note."]
    assert section["checks"][0] == {"name": "bits agree", "passed": True, "detail": "64 of 64"}


FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(st.none() | st.booleans() | st.integers() | FINITE | st.text()))
def test_json_gives_every_cell_back(cells):
    report = Report(
        title="",
        sections=(Section(title="", values=tuple(Value(name="", value=cell, origin="exact") for cell in cells)),),
    )
    content = json.loads(json.dumps(report_as_json(report, command="", version=""), allow_nan=False))
    assert [value["value"] for value in content["sections"][0]["values"]] == cells


def test_numbers_that_json_has_no_word_for_become_null_and_other_things_are_refused():
    def section(cell):
        return Report(title="", sections=(Section(title="", values=(Value(name="", value=cell, origin="exact"),)),))

    content = report_as_json(section(np.float32("inf")), command="", version="")
    assert content["sections"][0]["values"][0]["value"] is None
    with pytest.raises(TypeError, match="a report holds 1j, a complex, which JSON cannot"):
        report_as_json(section(1j), command="", version="")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "report.json"
    path.write_text("old")
    with pytest.raises(TypeError):
        write_json(path, {"not json": object()})
    with pytest.raises(OSError, match=r"report\.json"):
        write_json(tmp_path / "missing" / "report.json", {})
    assert path.read_text() == "old"
    write_json(path, {"new": 1})
    assert json.loads(path.read_text()) == {"new": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.json"]


def test_progress_is_silent_where_nobody_looks(capsys):
    with progress_module.progress("work", total=2) as advance:
        advance(1)
    assert capsys.readouterr() == ("", "")


def test_progress_shows_on_a_terminal(monkeypatch):
    pytest.importorskip("rich")
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with progress_module.progress("work", total=2) as advance:
        advance(2)
    assert "work" in terminal.getvalue()
