"""Pictures and the numbers beside them: names of files, the form of the numbers, and when matplotlib is missing."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from pim_runtime.cli import pictures
from pim_runtime.cli.output import Column, Table
from pim_runtime.cli.pictures import picture_file, picture_section, table_as_csv

pytestmark = pytest.mark.quick

TABLE = Table(
    title="Times",
    columns=(Column(name="machine"), Column(name="time", unit="s", origin="modelled")),
    rows=(("a, b", 1 / 3), ("c", None)),
)


def test_numbers_in_full_precision_with_their_units():
    assert table_as_csv(TABLE) == 'machine,"time (s, modelled)"\r\n"a, b",0.3333333333333333\r\nc,\r\n'


def test_without_a_path_nothing_is_drawn():
    def draw():
        raise AssertionError("drawn")

    assert picture_section(None, draw, TABLE) == ()


@pytest.mark.parametrize("name", ["picture", "picture.pdf", "picture.csv", ".png"])
def test_pictures_end_in_their_format(name):
    with pytest.raises(argparse.ArgumentTypeError, match=r"pictures are \.svg or \.png"):
        picture_file(name)


def test_numbers_must_be_writable_too(tmp_path):
    (tmp_path / "times.csv").mkdir()
    with pytest.raises(argparse.ArgumentTypeError, match=r"times\.csv is a folder"):
        picture_file(str(tmp_path / "times.png"))


def test_without_matplotlib_the_remedy_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "find_spec", lambda name: None)
    with pytest.raises(argparse.ArgumentTypeError, match=r"pip install 'pim-runtime\[report\]'"):
        picture_file(str(tmp_path / "times.png"))


def test_a_good_name_is_taken(tmp_path):
    pytest.importorskip("matplotlib")
    assert picture_file(str(tmp_path / "times.png")) == Path(tmp_path / "times.png")
