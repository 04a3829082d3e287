"""What an installation contains, what an import costs, and that the commands of the README exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.quick

ROOT = Path(__file__).parent.parent
PACKAGES = ("pim_runtime", "dpu_kernels", "host")
ONLY_FOR_READERS_OF_THE_SOURCE = {".pyc"}


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Files of a built installation, relative to its root."""
    folder = tmp_path_factory.mktemp("build")
    subprocess.run(
        [
            sys.executable,
            "setup.py",
            "-q",
            "egg_info",
            "--egg-base",
            folder,
            "build",
            "--build-base",
            folder,
            "--build-lib",
            folder / "lib",
        ],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    return {path.relative_to(folder / "lib") for path in (folder / "lib").rglob("*") if path.is_file()}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_file_of_a_package_is_installed(installed, package):
    files = {
        path.relative_to(ROOT)
        for path in (ROOT / package).rglob("*")
        if path.is_file() and path.suffix not in ONLY_FOR_READERS_OF_THE_SOURCE
    }
    assert {path for path in installed if path.parts[0] == package} == files


def test_nothing_else_is_installed(installed):
    assert {path.parts[0] for path in installed} == set(PACKAGES)


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_are_typed_and_every_folder_with_modules_is_a_package(package):
    assert (ROOT / package / "py.typed").read_bytes() == b""
    for module in (ROOT / package).rglob("*.py"):
        assert (module.parent / "__init__.py").exists(), module


@pytest.mark.parametrize("module", ["pim_runtime", "pim_runtime.api", "pim_runtime.device", "pim_runtime.cli.main"])
def test_import_does_not_import_numba_or_an_optional_package(module):
    code = (
        f"import sys, {module}\n"
        "heavy = {'numba', 'llvmlite', 'pandas', 'matplotlib', 'ray', 'rich', 'host', 'dpu_kernels'}\n"
        "print(*heavy & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.split() == []


@pytest.mark.parametrize("target", ["demo", "test", "quick", "lint", "bench", "clean"])
def test_makefile_has_the_target(target):
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(rf"^{target}:", makefile, re.MULTILINE)
    assert target in re.search(r"^\.PHONY:(.*)$", makefile, re.MULTILINE)[1].split()


def test_continuous_integration_runs_the_commands_of_the_makefile():
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    subprocess.run(["bash", "-n", script], check=True)
    assert re.findall(r"^make (\w+)$", script.read_text(), re.MULTILINE) == ["test", "lint"]
