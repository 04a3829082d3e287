"""`pim validate`: every chosen point is compared, errors are grouped and judged, and a missed target is exit code 1."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from host.calibration import points as calibration
from pim_runtime.cli.main import main

ALL = calibration.calibration_points()
NAMES = (
    "vec u16, 16 tasklets, 256 x 8",
    "vec u32, 16 tasklets, 256 x 16",
    "vec u16, 1 tasklet, 256 x 8",
    "red u64, 16 tasklets, 256 x 8",
    "scan u32, 16 tasklets, 256 x 16",
    "push_write, 64 DPUs, 512 B (fit)",
    "push_read, 64 DPUs, 8388608 B (measured)",
    "broadcast, 64 DPUs, 33554432 B (literature)",
    "pim_attention int8, batch 2",
)


@pytest.fixture
def report(tmp_path, capsys, monkeypatch):
    """`report(*arguments, scale=1)` runs `pim validate` on a few points, published values times `scale`."""

    def run(*arguments, scale=1.0):
        few = tuple(replace(point, value=scale * point.value) for point in ALL if point.name in NAMES)
        assert len(few) == len(NAMES)
        monkeypatch.setattr(calibration, "calibration_points", lambda: few)
        file = tmp_path / "report.json"
        code = main(["validate", *arguments, "--json", str(file)])
        assert capsys.readouterr().err == ""
        return code, json.loads(file.read_text())

    return run


def section(content, title):
    (found,) = [section for section in content["sections"] if section["title"] == title]
    return found


def column(table, name):
    names = [one["name"] for one in table["columns"]]
    return [row[names.index(name)] for row in table["rows"]]


def test_kernels_are_compared_with_both_counts_and_judged_at_16_tasklets(report):
    code, content = report("--group", "vec", "red", "scan")
    assert code == 0
    kernels = section(content, "Kernels")
    by_kernel, by_type = kernels["tables"]
    for table in (by_kernel, by_type):
        assert sum(column(table, "points")) == 2 * 5
    assert set(column(by_kernel, "tasklets")) == {"1 to 4", "16"}
    judged = [tasklets == "16" for tasklets in column(by_kernel, "tasklets")]
    assert [target is not None for target in column(by_kernel, "target")] == judged
    assert [check["name"] for check in kernels["checks"]] == [
        "results equal numpy's",
        *(f"{counts} {kernel} 16" for counts in ("automatic", "listing") for kernel in ("red", "scan", "vec")),
    ]


def test_a_missed_target_is_exit_code_1(report):
    code, content = report("--group", "vec", scale=1.2)
    assert code == 1
    passed = {check["name"]: check["passed"] for check in section(content, "Kernels")["checks"]}
    assert passed == {"results equal numpy's": True, "automatic vec 16": False, "listing vec 16": False}


def test_transfers_are_priced_for_the_machine_of_their_source(report):
    code, content = report("--group", "transfers")
    assert code == 0
    (table,) = section(content, "Host transfers")["tables"]
    assert column(table, "profile") == ["cnm-2025", "derf-2025", "prim-2021"]
    assert set(column(table, "target")) == {"mean 10 %"}


def test_attention_is_priced_on_two_machines_and_judged_on_the_one_with_nothing_fitted(report):
    _, content = report("--group", "attention")
    cells, by_machine = section(content, "PIM attention")["tables"]
    (row,) = cells["rows"]
    assert row[:4] == ["int8", 2, 64, 28.759]
    assert column(by_machine, "profile") == ["cnm-2025", "seed-2023"]
    assert column(by_machine, "target") == ["worst 5 %", None]
    assert [check["name"] for check in section(content, "PIM attention")["checks"]] == ["cnm-2025 int8"]


def test_points_are_listed_all(report):
    _, content = report("--group", "vec", "--group", "transfers", "--points")
    (table,) = section(content, "Every point")["tables"]
    names = [name for name in NAMES if name.startswith(("vec", "push", "broadcast"))]
    assert sorted(column(table, "point")) == sorted([*names, *names[:3]])
    for published, modelled, error in zip(
        column(table, "published"), column(table, "modelled"), column(table, "error"), strict=True
    ):
        assert error == pytest.approx(100 * (modelled / published - 1), abs=0.005)
    about = {value["name"]: value["value"] for value in section(content, "About these numbers")["values"]}
    assert about == {"points": 6, "of them measured": 4, "of them fit": 1, "of them literature": 1}


def test_the_event_form_gives_other_times_of_kernels(report):
    modelled = []
    for clock in ("closed", "event"):
        _, content = report("--group", "scan", "--clock", clock, "--points")
        modelled.append(column(section(content, "Every point")["tables"][0], "modelled"))
        assert f"Kernel time: the {clock} form." in section(content, "About these numbers")["notes"]
    closed, event = modelled
    assert closed != event
    assert event == pytest.approx(closed, rel=0.03)


def test_an_unknown_group_is_refused(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["validate", "--group", "gemm"])
    assert stopped.value.code == 2
    assert "invalid choice: 'gemm'" in capsys.readouterr().err
