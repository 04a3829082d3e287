"""Compiled drivers are found again by fresh processes, never stale, and safe when processes meet."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from subprocesses import environment

HERE = Path(__file__).parent
SUMS = (sum(range(16)), sum(range(16, 32)))


def start(folder, cache):
    """Run the demo of `folder` in a fresh process that caches in `cache`."""
    command = [sys.executable, "-B", str(folder / "demo.py")]  # -B: its .pyc would hide an edit within a second
    return subprocess.Popen(
        command, env=environment(PIM_CACHE_DIR=cache), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def printed(process):
    """(results, "hit" or "compiled") of a demo that must end well."""
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    *results, origin = output.split()
    return tuple(map(int, results)), origin


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a copy of the demo."""
    folder = tmp_path_factory.mktemp("demo")
    for name in ("demo.py", "demo_helpers.py"):
        shutil.copy(HERE / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def cache(folder):
    """The cache folder that two processes have filled at the same time, and what they printed."""
    cache = folder / "cache"
    outcomes = [printed(process) for process in [start(folder, cache), start(folder, cache)]]
    return cache, outcomes


def test_two_processes_fill_an_empty_cache_together(cache):
    _, outcomes = cache
    assert [results for results, _ in outcomes] == [tuple(3 * total for total in SUMS)] * 2
    assert sorted(origin for _, origin in outcomes) == ["compiled", "hit"]


def test_a_fresh_process_finds_an_unchanged_kernel(folder, cache):
    for _ in range(2):
        assert printed(start(folder, cache[0])) == (tuple(3 * total for total in SUMS), "hit")


def test_an_edit_in_an_imported_file_is_compiled(folder, cache):
    helpers = folder / "demo_helpers.py"
    source = helpers.read_text()
    helpers.write_text(source.replace("WEIGHT = 3", "WEIGHT = 4"))
    assert printed(start(folder, cache[0])) == (tuple(4 * total for total in SUMS), "compiled")
    helpers.write_text(source)
    assert printed(start(folder, cache[0])) == (tuple(3 * total for total in SUMS), "hit")


def test_damaged_entries_are_replaced(folder, cache):
    for entry in cache[0].glob("*.code"):
        entry.write_bytes(entry.read_bytes()[:-100])
    assert printed(start(folder, cache[0])) == (tuple(3 * total for total in SUMS), "compiled")
    assert printed(start(folder, cache[0])) == (tuple(3 * total for total in SUMS), "hit")


def test_without_a_usable_cache_folder_kernels_still_run(folder, tmp_path):
    blocked = tmp_path / "blocked"
    blocked.write_text("in the way")
    assert printed(start(folder, blocked))[0] == tuple(3 * total for total in SUMS)
