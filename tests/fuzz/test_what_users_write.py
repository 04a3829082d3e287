"""Random profile strings, profiles and command lines: taken, or refused in a sentence, and never a traceback."""

from __future__ import annotations

from importlib.resources import files

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pim_runtime.cli.main import COMMANDS, main
from pim_runtime.errors import InvalidProfileError, ProfileError
from pim_runtime.hardware import Hardware, load_profile
from pim_runtime.profile_string import check_profile_string

pytestmark = pytest.mark.quick


def answer(call, refusal):
    """What a call gives, or the refusal that it raises."""
    try:
        return call()
    except refusal as error:
        return error


WORDS = st.sampled_from(
    ["backend", "simulator", "hw", "nrThreadsPerRank", "mramSize", "8", "0x40", "-1", "1e3", "", " ", "=", "ü", "\0"]
)
ENTRIES = st.lists(WORDS, max_size=4).map("=".join)


@given(parts=st.lists(st.one_of(st.none(), st.text(), st.lists(ENTRIES, max_size=4).map(",".join)), max_size=3))
def test_profile_strings(parts):
    entries = answer(lambda: check_profile_string(*parts), InvalidProfileError)
    if isinstance(entries, InvalidProfileError):
        assert str(entries).startswith("invalid profile: ")
    else:
        pieces = [piece for part in parts for piece in (part or "").replace("&", ",").split(",") if piece]
        assert set(entries) == {piece.split("=")[0].strip() for piece in pieces}


SHIPPED = files("pim_runtime").joinpath("profiles", "upmem-v1a.toml").read_text(encoding="utf-8").splitlines()
VALUES = st.sampled_from(
    [
        "1",
        "-1",
        "0",
        "1.5",
        "nan",
        "inf",
        "1e400",
        "true",
        '"x"',
        "[]",
        "{}",
        "1979-05-27",
        "10000000000000000000000",
        "?",
    ]
)
KEYS = st.sampled_from(["value", "unit", "provenance", "source", "base", "range", "x", "[dma", "[dpu.mram_bytes]"])
CHANGES = st.lists(
    st.tuples(st.integers(0, len(SHIPPED) - 1), st.sampled_from(["drop", "repeat", "cut", "set", "add"]), KEYS, VALUES),
    min_size=1,
    max_size=4,
)


def changed(lines, changes):
    """The profile with some lines changed."""
    lines = list(lines)
    for number, way, key, value in changes:
        number %= len(lines)
        if way == "drop":
            del lines[number]
        elif way == "repeat":
            lines.insert(number, lines[number])
        elif way == "cut":
            lines[number] = lines[number][: len(lines[number]) // 2]
        elif way == "set":
            lines[number] = f"{lines[number].split('=')[0]}= {value}"
        else:
            lines.insert(number, f"{key} = {value}")
    return "\n".join(lines)


@settings(max_examples=100)
@given(changes=CHANGES)
def test_profiles(tmp_path_factory, changes):
    path = tmp_path_factory.getbasetemp() / "changed.toml"
    path.write_text(changed(SHIPPED, changes), encoding="utf-8")
    machine = answer(lambda: load_profile(path), ProfileError)
    assert isinstance(machine, Hardware) or "changed.toml" in str(machine)


ARGUMENTS = st.lists(
    st.sampled_from(
        ["--json", "--tokens", "--heads", "--dpus", "--profile", "--engine", "--norm", "--dtype", "--seed", "-x", "--",
         "0", "-1", "1e9", "abc", "", "ü", "99999999999999999999", "/dev/full", "--json=", "--tokens=x"]
    ),
    max_size=5,
)  # fmt: skip


@settings(max_examples=40)  # few parts, and every example builds the parsers of all commands
@given(command=st.sampled_from([command.NAME for command in COMMANDS] + ["", "atention"]), arguments=ARGUMENTS)
def test_command_lines(command, arguments):
    """With one argument that no command has, so that none of them starts to work."""
    with pytest.raises(SystemExit) as stop:
        main([command, "--no-such-option", *arguments])
    assert stop.value.code == 2
