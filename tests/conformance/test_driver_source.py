"""Constructs that are silently wrong in compiled code occur neither in the compiler nor in the drivers it writes."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from kernels_for_tests import control, memory, synchronisation

from pim_runtime import compiler
from pim_runtime.compiler.driver import driver_text

SOURCES = sorted(Path(compiler.__file__).parent.glob("*.py"))


def keywords(tree):
    """(name, value) of every literal keyword argument."""
    return {
        (keyword.arg, keyword.value.value)
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        for keyword in call.keywords
        if isinstance(keyword.value, ast.Constant)
    }


@pytest.mark.quick
@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_nothing_makes_stores_vanish_or_caches_kernels(source):
    tree = ast.parse(source.read_text())
    assert keywords(tree).isdisjoint({("parallel", True), ("inline", "always"), ("cache", True)})
    assert "prange" not in {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


@pytest.mark.quick
@pytest.mark.parametrize("program", [synchronisation.scan, memory.remember, control.stumble], ids=lambda p: p.name)
def test_a_driver_swallows_no_fault_and_steps_no_copies(program, hardware):
    tree = ast.parse(driver_text(program.build(hardware).closure))
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Try | ast.List | ast.ListComp | ast.With)]
    assert ("nogil", True) in keywords(tree)
