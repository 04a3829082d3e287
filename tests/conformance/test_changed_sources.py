"""Kernels are what they were when they were defined, whatever happens to their file afterwards."""

from __future__ import annotations

import importlib
import os
import sys

import pytest

from pim_runtime import DpuFaultError, EngineOptions

TEXT = """from pim_runtime import DpuProgram
from pim_runtime.device import dpu_function, int64

program = DpuProgram("changing", nr_tasklets=1)
answer = program.host("answer", int64, initial=1)


@dpu_function
def quotient(t, a, b):
    return a // b


@program.kernel
def kernel(t):
    assert answer.load(t) < 2, "an assertion may say why"
    answer.store(t, quotient(t, answer.load(t) + 6, answer.load(t)))
"""
EDITS = {
    "other numbers": TEXT.replace("+ 6", "+ 60"),
    "moved": TEXT.replace("from pim", "# moved\n\n\nfrom pim", 1),
    "renamed": TEXT.replace("kernel(t)", "kernels(t)").replace("quotient", "ratio"),
    "broken": "def (",
    "removed": None,
}


@pytest.mark.quick
@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_changes_nothing_in_a_process_that_has_imported_the_kernel(edit, dpus, tmp_path, monkeypatch):
    path = tmp_path / "changing_kernel.py"
    path.write_text(TEXT)
    monkeypatch.syspath_prepend(tmp_path)
    try:
        program = importlib.import_module("changing_kernel").program
    finally:
        sys.modules.pop("changing_kernel", None)
    edited = EDITS[edit]
    if edited is None:
        path.unlink()
    else:
        path.write_text(edited)
        os.utime(path, (0, 0))
    one = dpus(1, EngineOptions(engine="interpreted"))
    one.load(program)
    one.exec()
    assert one.answer.int64() == 7
    one.answer = bytes(8)
    with pytest.raises(DpuFaultError, match=r"changing_kernel.py:10 `return a // b`"):
        one.exec()
