"""Every command, program and number of the README, run again: deterministic output is compared to the letter."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from host.attention.attention_set import AttentionSet
from pim_runtime import DpuFaultError
from pim_runtime.cli.main import main

README = (Path(__file__).parent.parent / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.M | re.S)
PROGRAMS = [text for language, text in BLOCKS if language == "python"]
TOUR, C_NAMES = PROGRAMS
TEXTS = [text for language, text in BLOCKS if language == "text"]
MEASURED = re.compile(r"^.*measured here.*$", re.M)


def run_file(folder, name, source):
    """Run a program from a file, which the kernel's source is read from; gives its names."""
    path = folder / name
    path.write_text(source)
    names = {"__name__": name.removesuffix(".py"), "__file__": str(path)}
    exec(compile(source, str(path), "exec"), names)
    return names


@pytest.mark.quick
def test_the_tour_is_short_enough_to_type_in():
    assert len(TOUR.splitlines()) < 40


def test_the_tour_prints_what_the_readme_says(tmp_path, capsys):
    run_file(tmp_path, "sums.py", TOUR)
    assert capsys.readouterr().out == TEXTS[0]


def test_the_c_names_do_the_same(tmp_path):
    names = run_file(tmp_path, "sums.py", TOUR)
    names["sums"][:] = 0
    exec(C_NAMES, names)
    assert (names["sums"][:, 0] == names["data"].sum(axis=1)).all()


def test_the_broken_tour_reports_what_the_readme_says(tmp_path):
    assert TOUR.count("block, 1024)") == 1
    with pytest.raises(DpuFaultError) as fault:
        run_file(tmp_path, "sums.py", TOUR.replace("block, 1024)", "block, 1020)"))
    assert f"{fault.value}\n" == TEXTS[1]


def test_pim_attention_prints_what_the_readme_says(capsys):
    """All but the wall-clock times, which are another computer's."""
    command, shown = next(text for _, text in BLOCKS if text.startswith("$ pim attention")).split("\n", 1)
    assert main(command.removeprefix("$ pim ").split()) == 0
    assert without_measurements(capsys.readouterr().out) == without_measurements(shown)


def without_measurements(text):
    """Lines of measured values without the values; runs of spaces folded, since columns are as wide as values."""
    masked = MEASURED.sub(lambda line: re.sub(r" [\d.e+-]+ ", " # ", line[0], count=1), text)
    return re.sub(r" +", " ", masked).strip()


@pytest.mark.parametrize(("column", "dtype"), [(1, "int32"), (2, "int16"), (3, "int8")])
def test_published_attention_cells(column, dtype):
    row = next(line for line in README.splitlines() if line.startswith("| modelled |"))
    stated = int(row.split("|")[column + 1].strip().replace(",", ""))
    shape = (1, 64, 4096, 128)
    arguments = {"batch": 1, "heads": 64, "dim": 128, "max_tokens": 4096, "dtype": dtype, "operand_max": 1}
    with AttentionSet(**arguments, norm="div_d", acc="wrap") as attention:
        ones = np.broadcast_to(np.ones((), dtype), shape)
        attention.load_kv(ones, ones)
        before = attention.timeline.now_ps
        attention.decode(np.ones((1, 64, 128), dtype))
        assert round((attention.timeline.now_ps - before) / 1e6) == stated


@pytest.mark.quick
def test_both_commands_are_make_targets():
    makefile = (Path(__file__).parent.parent / "Makefile").read_text()
    for target in re.findall(r"`?make (\w+)`?", README):
        assert re.search(rf"^{target}:", makefile, re.M), target
