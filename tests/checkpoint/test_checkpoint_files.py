"""Files of saved states: whole or refused, whatever happened to them, and never half written."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from walker import walker

from pim_runtime import CheckpointError, DpuContext, DpuSet, EngineOptions, Machine, load_profile
from pim_runtime.checkpoint.container import SEAL_BYTES, write_container

ROOT = Path(__file__).parents[2]
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def pair():
    """Two DPUs that ran once."""
    with DpuSet(
        2, machine=Machine(load_profile("upmem-v1a")), options=EngineOptions(engine="interpreted"), binary=walker
    ) as dpus:
        dpus.copy("history", np.arange(96, dtype=np.int64).reshape(2, 48))
        dpus.exec()
        yield dpus


@pytest.fixture(scope="module")
def context(pair):
    return pair.checkpoint()


@pytest.fixture(scope="module")
def saved(context):
    """The bytes of its file."""
    return context.serialize(note={"round": 7})


def sealed(body):
    """Bytes with the seal that they should have: what somebody writes who knows the format."""
    return body + b"pim-runtime checkpoint 0001 sha256 " + hashlib.sha256(body).hexdigest().encode()


def members(data):
    """Name and bytes of every member."""
    archive = zipfile.ZipFile(io.BytesIO(data))
    return {name: archive.read(name) for name in archive.namelist()}


def rewritten(contents):
    """A sealed container with these members."""
    buffer = io.BytesIO()
    write_container(buffer, contents.items())
    return buffer.getvalue()


def test_a_file_holds_the_context(context, tmp_path):
    path = tmp_path / "state"
    context.save(path, note={"epoch": [1, 2.5, None, "ü"]})
    again = DpuContext.open(path)
    assert again.note == {"epoch": [1, 2.5, None, "ü"]}
    assert again.serialize() == path.read_bytes()
    assert again[1].mram() == context[1].mram()
    assert again[0].wram() == context[0].wram()
    assert again.state.timeline == context.state.timeline
    assert os.listdir(tmp_path) == ["state"]


def test_other_programs_can_read_it(saved, tmp_path):
    path = tmp_path / "state.npz"
    path.write_bytes(saved)
    with np.load(path, allow_pickle=False) as arrays:
        assert arrays["mram/contents"].shape[1] == 4096


def test_equal_states_give_equal_bytes(pair):
    assert pair.checkpoint().serialize() == pair.checkpoint().serialize()


@given(note=JSON_VALUES)
def test_any_json_is_a_note(context, note):
    assert DpuContext.from_buffer(context.serialize(note)).note == note


@pytest.mark.parametrize("note", [object(), {1: 2}, float("nan"), b"bytes", {"a": np.int64(1)}, "\ud800"])
def test_anything_else_is_no_note(context, note, tmp_path):
    with pytest.raises(CheckpointError, match=r"^the note .*\. A note holds what JSON does|use texts as keys"):
        context.save(tmp_path / "state", note=note)
    assert os.listdir(tmp_path) == []


@given(data=st.data())
def test_a_changed_byte_is_refused(saved, data):
    at = data.draw(st.integers(0, len(saved) - 1))
    changed = bytearray(saved)
    changed[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(CheckpointError):
        DpuContext.from_buffer(changed)


@given(data=st.data())
def test_a_file_that_was_cut_off_is_refused(saved, data):
    with pytest.raises(CheckpointError):
        DpuContext.from_buffer(saved[: data.draw(st.integers(0, len(saved) - 1))])
    with pytest.raises(CheckpointError):
        DpuContext.from_buffer(saved + data.draw(st.binary(min_size=1)))


@settings(max_examples=300)
@given(data=st.data())
def test_a_forged_byte_is_refused_or_harmless(pair, saved, data):
    changed = bytearray(saved[:-SEAL_BYTES])
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    refused_or_harmless(pair, sealed(bytes(changed)))


@settings(max_examples=300)
@given(data=st.data(), value=JSON_VALUES)
def test_forged_facts_are_refused_or_harmless(pair, saved, data, value):
    contents = members(saved)
    facts = json.loads(contents["checkpoint.json"])
    place = facts
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        if isinstance(place[key], dict | list) and place[key] and data.draw(st.booleans()):
            place = place[key]
            continue
        break
    place[key] = value
    contents["checkpoint.json"] = json.dumps(facts).encode()
    refused_or_harmless(pair, rewritten(contents))


def refused_or_harmless(dpus, data):
    """Whatever a file says, it is given to the DPUs or refused, and nothing else happens."""
    before = dpus.checkpoint()
    try:
        context = DpuContext.from_buffer(data)
        dpus.restore(context)
        for dpu in context:
            dpu.bkp_fault()
            dpu.iram()
    except CheckpointError:
        assert dpus.checkpoint().serialize() == before.serialize()
    dpus.restore(before)


def test_forged_arrays_are_refused(saved):
    contents = members(saved)
    objects = io.BytesIO()
    np.save(objects, np.array([{"x": 1}], dtype=object), allow_pickle=True)
    huge = io.BytesIO()
    np.lib.format.write_array_header_1_0(huge, {"descr": "<i8", "fortran_order": False, "shape": (1 << 60,)})
    headers = [
        b"\x93NUMPY\x01\x00" + bytes([len(text), 0]) + text for text in (b"{'shape': (1\x01\n", b"{'shape': (1L,)}\n")
    ]
    for forged in (objects.getvalue(), huge.getvalue(), b"", b"\x93NUMPY\x01\x00\xff\xff", pickle.dumps([1]), *headers):
        with pytest.raises(CheckpointError, match=r"was not written by pim-runtime: mram/numbers\.npy: "):
            DpuContext.from_buffer(rewritten(contents | {"mram/numbers.npy": forged}))


def test_nothing_unpacks_to_more_than_the_file(saved):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.comment = bytes(SEAL_BYTES)
        for name, content in members(saved).items():
            archive.writestr(name, content + bytes(10_000_000))
    with pytest.raises(CheckpointError, match="is compressed or encrypted"):
        DpuContext.from_buffer(sealed(buffer.getvalue()[:-SEAL_BYTES]))
    with pytest.raises(CheckpointError, match="damaged"):
        DpuContext.from_buffer(buffer.getvalue()[:-SEAL_BYTES] + sealed(b""))


def test_deep_json_is_refused(saved):
    for deep in (b"[" * 100_000, b"{" * 3, b"1" * 10_000, b"\xff\xfe", b"[]"):
        with pytest.raises(CheckpointError, match=r"was not written by pim-runtime: checkpoint\.json"):
            DpuContext.from_buffer(rewritten(members(saved) | {"checkpoint.json": deep}))


def test_a_newer_version_is_named(saved):
    newer = saved[:-SEAL_BYTES] + saved[-SEAL_BYTES:].replace(b" 0001 ", b" 0002 ")
    with pytest.raises(CheckpointError, match=r"has version 2 of the format, and this pim-runtime reads version 1"):
        DpuContext.from_buffer(newer)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\x89PNG\r\n\x1a\n" + bytes(200), "is no checkpoint but a PNG image"),
        (pickle.dumps({"a": 1}), "is no checkpoint but a pickle"),
        (b"hello", "is no checkpoint. Name a file"),
    ],
)
def test_foreign_files_are_named(content, said, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"^{path}: {said}"):
        DpuContext.open(path)


def test_foreign_archives_missing_files_and_folders_are_named(saved, tmp_path):
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    (tmp_path / "cut").write_bytes(saved[:-1000])
    damaged = bytearray(saved)
    damaged[saved.index(b"arrays/2.npy") + 60] ^= 1
    (tmp_path / "damaged").write_bytes(damaged)
    for name, said in [
        ("other.npz", "is no checkpoint but a zip archive"),
        ("cut", "is a checkpoint that was cut off after"),
        ("damaged", r"is damaged in arrays/2\.npy: its SHA-256"),
        ("missing", "cannot be read: No such file or directory"),
        ("", "is no file"),
    ]:
        with pytest.raises(CheckpointError, match=said):
            DpuContext.open(tmp_path / name)
    with pytest.raises(CheckpointError, match="is no file"):
        DpuContext.open("/dev/zero")


def test_a_full_disk_leaves_the_old_file(context, tmp_path, largest_file):
    path = tmp_path / "state"
    context.save(path, note="old")
    refused = pytest.raises(CheckpointError, match=r"cannot be written: File too large\. Nothing has changed there")
    with refused, largest_file(4096):
        context.save(path, note="new")
    assert DpuContext.open(path).note == "old"
    assert os.listdir(tmp_path) == ["state"]


@pytest.mark.parametrize("where", ["", "no/such/folder", "\0", "x" * 300])
def test_a_path_that_cannot_be_written_is_named(context, tmp_path, where):
    with pytest.raises(CheckpointError, match=r"cannot be written|is no file"):
        context.save(f"{tmp_path}/{where}")


def test_a_process_killed_while_it_saves_leaves_the_old_file(context, tmp_path):
    path = tmp_path / "state"
    context.save(path, note="old")
    program = (
        "import os, signal, sys; from pim_runtime import DpuContext\n"
        "os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)\n"
        "DpuContext.open(sys.argv[1]).save(sys.argv[1], note='new')\n"
    )
    ran = subprocess.run([sys.executable, "-c", program, str(path)], cwd=ROOT, timeout=60, check=False)
    assert ran.returncode == -signal.SIGKILL
    assert DpuContext.open(path).note == "old"


def test_a_link_is_written_through(context, tmp_path):
    (tmp_path / "link").symlink_to("real")
    context.save(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert DpuContext.open(tmp_path / "real").serialize() == context.serialize()
