"""`pim check`: runs a script as Python would, reports what its sets do wrong, and says so by its exit code."""

from __future__ import annotations

import json
import sys

import pytest

from pim_runtime.cli.main import main

pytestmark = pytest.mark.quick

PROGRAM = """
import sys

import numpy as np

import helper_of_check
from pim_runtime import DpuProgram, DpuSet, EngineOptions, Machine, load_profile
from pim_runtime.device import int64, me, mutex_lock, mutex_unlock

adding = DpuProgram("adding", nr_tasklets=2)
total = adding.host("total", int64)
lock = adding.mutex("lock")

{kernel}

assert __name__ == "__main__"
machine = Machine(load_profile("upmem-v1a"))
with DpuSet(3, machine=machine, options=EngineOptions(engine="interpreted"), binary=adding) as dpus:
    for launch in range(int(sys.argv[1])):
        dpus.total = np.zeros(8, np.uint8)
        dpus.exec()
    print("totals", dpus.total.int64(), sys.argv[1:], helper_of_check.NAME)
{end}
"""

RACING = """
@adding.kernel
def add(t):
    total.store(t, total.load(t) + 1)  # racing
"""

ORDERLY = """
@adding.kernel
def add(t):
    yield mutex_lock(t, lock)
    total.store(t, total.load(t) + 1)
    mutex_unlock(t, lock)
"""


@pytest.fixture
def check(tmp_path, capsys):
    """`check(kernel, end, options, arguments)` gives (exit code, report, stdout, stderr)."""
    (tmp_path / "helper_of_check.py").write_text("NAME = 'helper'")

    def run(kernel, *, end="", options=(), arguments=("2",)):
        script, report = tmp_path / "host_program.py", tmp_path / "report.json"
        script.write_text(PROGRAM.format(kernel=kernel, end=end))
        argv, path = sys.argv, list(sys.path)
        code = main(["check", "--json", str(report), *options, str(script), *arguments])
        assert (sys.argv, sys.path) == (argv, path)
        sys.modules.pop("helper_of_check", None)
        return code, json.loads(report.read_text()), *capsys.readouterr()

    return run


def checks_of(report):
    return {check["name"]: check["passed"] for section in report["sections"] for check in section["checks"]}


def values_of(report):
    return {value["name"]: value["value"] for section in report["sections"] for value in section["values"]}


def test_a_clean_program(check):
    code, report, out, err = check(ORDERLY, arguments=["2", "--orders", "x"])
    assert (code, err) == (0, "")
    assert "totals [2, 2, 2] ['2', '--orders', 'x'] helper" in out
    assert all(checks_of(report).values())
    assert values_of(report) == {
        "DPU sets": 1,
        "launches of single DPUs": 6,
        "of them checked to their end": 4,
        "tasklet orders of each": 5,
    }


def test_findings(check):
    code, report, out, err = check(RACING, options=["--dpus", "1", "--orders", "2"])
    assert (code, err) == (1, "")
    assert "race: program 'adding', rank 0, DPU 0, tasklets 0-1, phase 0: tasklet 0 " in out
    assert "FAIL  race: " in out
    failed = [name for name, passed in checks_of(report).items() if not passed]
    assert failed == ["race"]
    (table,) = (table for table in report["sections"][0]["tables"])
    assert table["rows"][0][:6] == ["race", "adding", "total", "0", "0-1", 0]
    stacks = report["sections"][1]["tables"][0]
    assert stacks["rows"] == [["adding", "0-1", 16, 16, 1024]]
    assert values_of(report)["of them checked to their end"] == 2


@pytest.mark.parametrize(
    ("end", "says", "shown"),
    [
        ("sys.exit(3)", "exit code 3", ""),
        ("sys.exit('no more')", "exit code 1, no more", "no more\n"),
        ("undefined_name", "NameError: name 'undefined_name' is not defined", "host_program.py"),
        ("dpus.exec()", "InvalidDpuSetError: invalid action for this dpu set", "host_program.py"),
    ],
)
def test_a_program_that_ends_badly(check, end, says, shown):
    code, report, out, err = check(ORDERLY, end=end)
    assert code == 1
    assert [name for name, passed in checks_of(report).items() if not passed] == ["the program ends well"]
    assert says in out
    assert shown in err
    assert "runpy" not in err
    assert "totals" in out


def test_a_program_that_ends_well_by_exit(check):
    assert check(ORDERLY, end="sys.exit()")[0] == 0


def test_a_program_that_launches_nothing(check):
    code, report, _, _ = check(ORDERLY, arguments=["0"])
    assert code == 1
    assert not checks_of(report)["something was checked"]


def test_keeps(check):
    keeping = RACING.replace("total.store(t, total.load(t) + 1)", "kept.store(t, kept.load(t) + me(t) - me(t))")
    keeping = 'kept = adding.wram("kept", int64)\n' + keeping.replace("    kept", "    if me(t) == 0:\n        kept")
    assert check(keeping)[0] == 1
    assert check(keeping, options=["--keeps", "kept"])[0] == 0
    code, report, _, _ = check(keeping, options=["--keeps", "kept", "--keeps", "kpt"])
    assert (code, checks_of(report)["--keeps names variables"]) == (1, False)


def test_unordered(check):
    hurrying = RACING.replace("total.store(t, total.load(t) + 1)", "total.store(t, total.load(t) * 2 + me(t))")
    _, report, _, _ = check(hurrying, options=["--unordered", "total"])
    assert checks_of(report)["order"]
    assert checks_of(report)["--unordered names variables"]
    assert not checks_of(check(hurrying)[1])["order"]
    assert not checks_of(check(hurrying, options=["--unordered", "ttl"])[1])["--unordered names variables"]


def test_mistakes_of_the_user(capsys, tmp_path):
    assert main(["check", str(tmp_path / "none.py")]) == 2
    assert "none.py: no such file. Name a Python host program" in capsys.readouterr().err
    (tmp_path / "some.py").write_text("")
    assert main(["check", "--dpus", "0", str(tmp_path / "some.py")]) == 2
    assert "dpus is 0" in capsys.readouterr().err


def test_an_interrupt_is_the_scripts_end(tmp_path):
    script = tmp_path / "interrupted.py"
    script.write_text("raise KeyboardInterrupt")
    assert main(["check", str(script)]) == 130


LONG = """
@adding.kernel
def add(t):
    for i in range(5_000):
        total.store(t, i)
"""


def test_launches_that_are_too_long_are_named(check):
    code, _, out, _ = check(LONG, options=["--max-iterations", "1000"])
    assert code == 1
    assert "4 launches of single DPUs were not checked to their end" in out
    assert "something was checked: no launch came to its end on the side" in out
