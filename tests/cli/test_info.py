"""`pim info`: it names what is installed, and shows every value of a profile with its source."""

from __future__ import annotations

import platform
import subprocess
import sys
from importlib.metadata import version

import pytest

from host.machines.folders import machine_folders
from pim_runtime.cli import info
from pim_runtime.cli.main import main
from pim_runtime.compiler.cache import cache_folder
from pim_runtime.hardware import available_profiles, load_profile

pytestmark = pytest.mark.quick


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache folder of the test's own, with 100 bytes in two files."""
    (tmp_path / "kernel").mkdir()
    (tmp_path / "kernel" / "driver.nbc").write_bytes(bytes(60))
    (tmp_path / "kernel" / "driver.nbi").write_bytes(bytes(40))
    monkeypatch.setattr(info, "cache_folder", lambda: tmp_path)
    return tmp_path


def cells(text, first):
    """The rows of the printed tables whose first cell is `first`, split at the columns' gaps."""
    return [
        [cell.strip() for cell in line.split("  ") if cell.strip()]
        for line in text.splitlines()
        if line.strip().startswith(first)
    ]


def test_overview(cache, capsys):
    assert main(["info"]) == 0
    text = capsys.readouterr().out
    assert cells(text, "python")[0][1] == platform.python_version()
    for name in ("numba", "llvmlite", "numpy", "cffi"):
        assert cells(text, name)[0][1] == version(name)
    assert cells(text, "engines")[0][1] == "compiled, interpreted"
    assert cells(text, "kernel cache ") == [
        ["kernel cache", str(cache), "exact"],
        ["kernel cache size", "100", "bytes", "measured here", "2 files"],
    ]
    for name in available_profiles():
        hardware = load_profile(name)
        (row,) = cells(text, name)
        assert row[1:4] == [
            str(hardware.geometry.ranks),
            f"{hardware.geometry.dpus:,}",
            str(hardware.pipeline.clock_mhz),
        ]
        assert sum(map(int, row[4:])) == len(hardware.provenance)
    for folder in machine_folders():
        for name in folder.available():
            (row,) = cells(text, f"{name} ")
            assert row[1] == folder.what
            assert sum(map(int, row[2:])) == len(folder.load(name).provenance)
    assert "dpu_kernels.attention" in text


@pytest.mark.parametrize("name", available_profiles())
def test_profile_shows_every_value_with_unit_provenance_and_source(name, capsys):
    assert main(["info", "--profile", name]) == 0
    text = capsys.readouterr().out
    quantities = load_profile(name).provenance
    assert f"{len(quantities)} values" in text
    for quantity in quantities:
        (row,) = [row for row in cells(text, quantity.key) if row[0] == quantity.key]
        assert row[2:4] == [quantity.unit, quantity.provenance]
        assert quantity.source in text


def test_unknown_profile_is_a_users_mistake(capsys):
    assert main(["info", "--profile", "upmem-v9"]) == 2
    message = capsys.readouterr().err
    assert message.startswith("pim info: no hardware profile 'upmem-v9'. Use one of ")
    assert message.count("\n") == 1


def test_it_asks_the_same_cache_folder_as_the_compiler():
    assert info.cache_folder is cache_folder


def test_it_neither_imports_numba_nor_a_kernel():
    code = (
        "import sys; from pim_runtime.cli.main import main; main(['info'])\n"
        "assert not [name for name in sys.modules if name.partition('.')[0] in ('numba', 'dpu_kernels')]"
    )
    subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)


@pytest.mark.parametrize("name", [name for folder in machine_folders() for name in folder.available()])
def test_every_value_of_another_machine_has_its_source(name, capsys):
    assert main(["info", "--profile", name]) == 0
    text = capsys.readouterr().out
    (folder,) = (folder for folder in machine_folders() if name in folder.available())
    for quantity in folder.load(name).provenance:
        (row,) = cells(text, f"{quantity.key} ")
        assert row[-2:] == [quantity.provenance, quantity.source]


def test_values_of_other_machines_are_not_set_here(capsys):
    assert main(["info", "--profile", "aim-8die", "--set", "link.transfer_us=1"]) == 2
    assert "this is a chip of banks" in capsys.readouterr().err
