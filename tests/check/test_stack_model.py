"""The stack model: frames of the kernel and its helpers, inlined or called, against the reserved bytes."""

from __future__ import annotations

import pytest

from pim_runtime import Check, DpuProgram, DpuSet, EngineOptions, Machine
from pim_runtime.device import dpu_function, extern_function, int64, me

pytestmark = pytest.mark.quick


@extern_function
def inner(a):
    b = a + 1  # inner: 8 + 2 * 8 bytes
    return b * b


@dpu_function
def inlined(a):
    return inner(a)  # inlined: 8 + 1 * 8


@extern_function
def outer(t, a):
    return inlined(a) + inner(a)  # outer: 8 + 2 * 8


def program_with(stack_bytes):
    program = DpuProgram("stacks", nr_tasklets=3, stack_bytes=stack_bytes)
    result = program.host("result", int64, 3)

    @program.kernel
    def kernel(t):
        i = me(t)
        if i != 1:
            result.array(t)[i] = outer(t, i)  # kernel: 8 + 2 * 8

    return program


def test_high_water_marks(hardware):
    options = EngineOptions(engine="interpreted")
    with DpuSet(2, machine=Machine(hardware), options=options, check=Check(), binary=program_with(72)) as dpus:
        dpus.exec()
        dpus.exec()
        (use,) = dpus.stacks
        assert (use.program, use.reserved) == ("stacks", 72)
        assert use.inlined == (72, 24, 72)
        assert use.called == (88, 24, 88)
        assert list(dpus.findings) == []


def test_a_stack_that_is_too_small(checked):
    inlined_call, outer_call = checked(program_with(64))
    for finding in (inlined_call, outer_call):
        assert (finding.kind, finding.tasklets) == ("stack", (0, 2))
        assert "grows to 72 bytes" in finding.text
        assert "and 64 bytes are reserved" in finding.text
        assert "stack_bytes=72" in finding.text
    assert "return inner(a)" in str(inlined_call.places[0])
    assert "inlined(a) + inner(a)" in str(outer_call.places[0])


def test_a_kernel_that_does_not_fit_itself(checked):
    finding = checked(program_with(16))[0]
    assert finding.tasklets == (0, 1, 2)
    assert "def kernel(t)" in str(finding.places[0]) or "@program.kernel" in str(finding.places[0])
