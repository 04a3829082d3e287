"""Whatever happens to the cache folder, functions run and give right results; what could harm is never loaded."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numba
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import types

from pim_runtime import CacheWarning
from pim_runtime.compiler import cache, cache_entry
from pim_runtime.compiler.cache import cache_folder
from pim_runtime.compiler.cache_entry import _read, _write, compile_cached

pytestmark = pytest.mark.quick

NAME = "doubled_0123456789"


def doubled(number):
    return 2 * number


def run():
    """Compile or load as a fresh process would, and run: "hit" or "compiled"."""
    dispatcher = numba.njit(doubled)
    compile_cached(dispatcher, (types.int64,), NAME)
    assert dispatcher(21) == 42
    return "hit" if sum(dispatcher.stats.cache_hits.values()) else "compiled"


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """A cache folder of the test's own, with one entry."""
    monkeypatch.setattr(cache_entry, "cache_folder", lambda: tmp_path / "cache")
    assert [run(), run()] == ["compiled", "hit"]
    return tmp_path / "cache"


@pytest.fixture
def entry(folder):
    return folder / f"{NAME}.code"


def flipped(content, index):
    return content[:index] + bytes([content[index] ^ 0x10]) + content[index + 1 :]


DAMAGE = {
    "empty": lambda content: b"",
    "cut off": lambda content: content[: len(content) // 2],
    "one byte short": lambda content: content[:-1],
    "other bytes": lambda content: os.urandom(len(content)),
    "zeros, as after a crash of the file system": lambda content: bytes(len(content)),
    "a flipped bit in the machine code": lambda content: flipped(content, len(content) // 2),
    "of another version": lambda content: content.replace(b"machine code 1", b"machine code 9", 1),
    "a pickle of something else": lambda content: b"\x80\x04N.",
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_entry_is_compiled_again(entry, damage):
    entry.write_bytes(damage(entry.read_bytes()))
    assert [run(), run()] == ["compiled", "hit"]


@given(st.binary(max_size=60), st.data())
def test_no_damage_goes_unnoticed(payload, data):
    with tempfile.TemporaryDirectory() as name:
        entry = Path(name) / "entry.code"
        _write(entry, payload)
        assert _read(entry) == payload
        content = entry.read_bytes()
        index = data.draw(st.integers(0, len(content) - 1))
        damaged = data.draw(st.sampled_from([content[:index], flipped(content, index), content + b"\0"]))
        entry.write_bytes(damaged)
        assert _read(entry) is None


def test_a_folder_in_the_place_of_an_entry(entry):
    entry.unlink()
    entry.mkdir()
    with pytest.warns(CacheWarning, match=r"not kept for the next process: cache folder .*: Is a directory"):
        assert run() == "compiled"
    assert not list(entry.parent.glob("*.tmp"))


def test_a_folder_in_the_place_of_the_lock(entry):
    lock = entry.with_suffix(".lock")
    lock.unlink()
    lock.mkdir()
    assert run() == "hit"


def test_the_cache_is_cleared_while_it_is_used(folder):
    shutil.rmtree(folder)
    assert [run(), run()] == ["compiled", "hit"]
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_full_disk(entry, largest_file):
    entry.unlink()
    with (
        warnings.catch_warnings(record=True) as caught,
        largest_file(1000),
    ):
        warnings.simplefilter("always")
        assert run() == "compiled"
    (warning,) = caught
    assert warning.category is CacheWarning
    assert str(warning.message) == (
        f"a compiled kernel is not kept for the next process: cache folder {entry.parent}: File too large. Make room "
        "there, or set PIM_CACHE_DIR to another folder"
    )
    assert [path.name for path in entry.parent.iterdir()] == [f"{NAME}.lock"], "nothing half written is left"
    assert [run(), run()] == ["compiled", "hit"]


def test_what_a_killed_process_leaves_is_in_nobodys_way(entry):
    """It was compiling: it holds the lock and has written half an entry."""
    entry.unlink()
    entry.with_suffix(".tmp").write_bytes(b"half")
    script = "import fcntl, sys, time; f = open(sys.argv[1]); fcntl.flock(f, 2); print(flush=True); time.sleep(60)"
    lock = str(entry.with_suffix(".lock"))
    with subprocess.Popen([sys.executable, "-c", script, lock], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        assert [run(), run()] == ["compiled", "hit"]
    assert not entry.with_suffix(".tmp").exists()


def test_a_process_that_was_suspended_stops_nobody(monkeypatch, entry):
    monkeypatch.setattr(cache, "LONGEST_WAIT_S", 0.0)
    with entry.with_suffix(".lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert run() == "hit"


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_does_not_keep_the_lock(entry):
    with cache.exclusive(entry):
        child = os.fork()
        if not child:
            signal.pause()
            os._exit(0)
    try:
        with entry.with_suffix(".lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


# --- which folder ----------------------------------------------------------------------------------------------------


@pytest.fixture
def temporary(monkeypatch, tmp_path):
    """Where temporary folders go."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def refused(temporary, reason):
    with pytest.warns(CacheWarning, match=f"kept for this process only: cache folder .*{reason}.*Set PIM_CACHE_DIR to"):
        folder = cache_folder.__wrapped__()
    assert folder.parent == temporary
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("unusable", "reason"),
    [("a_file", "File exists"), ("a_file/below", "Not a directory"), ("/proc/self", "No such file or directory")],
)
def test_a_folder_that_cannot_be_written(monkeypatch, tmp_path, temporary, unusable, reason):
    (tmp_path / "a_file").touch()
    monkeypatch.setenv("PIM_CACHE_DIR", str(tmp_path / unusable))
    refused(temporary, reason)


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_a_folder_that_others_may_write_to(monkeypatch, tmp_path, temporary, mode):
    open_folder = tmp_path / "open"
    open_folder.mkdir()
    open_folder.chmod(mode)
    monkeypatch.setenv("PIM_CACHE_DIR", str(open_folder))
    refused(temporary, r"others may write to it \(d.*\), and so run code here; chmod go-w mends it")


def test_a_folder_of_another_user(monkeypatch, tmp_path, temporary):
    monkeypatch.setenv("PIM_CACHE_DIR", str(tmp_path))
    user = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: user + 1)
    refused(temporary, f"it belongs to user {user}, whose code would run here")


def test_no_folder_at_all_can_be_written(monkeypatch):
    monkeypatch.setenv("PIM_CACHE_DIR", "/proc/self/cache")
    monkeypatch.setattr(tempfile, "tempdir", "/proc/self")
    with pytest.warns(CacheWarning, match="kept for this process only"):
        folder = cache_folder.__wrapped__()
    monkeypatch.setattr(cache_entry, "cache_folder", lambda: folder)
    with pytest.warns(CacheWarning, match="not kept for the next process"):
        assert run() == "compiled"


def test_a_usable_cache_folder_is_made_for_the_user_alone_and_left_empty(monkeypatch, tmp_path):
    folder = tmp_path / "new" / "folder"
    monkeypatch.setenv("PIM_CACHE_DIR", str(folder))
    assert cache_folder.__wrapped__() == folder
    assert folder.stat().st_mode & 0o777 == 0o700
    assert not list(folder.iterdir())
