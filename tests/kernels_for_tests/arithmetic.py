"""Kernels that compute what their inputs ask for: one compile serves every operation on every integer type."""

from __future__ import annotations

from pim_runtime import DpuProgram
from pim_runtime.device import (
    add,
    clz,
    div,
    dpu_function,
    int8,
    int16,
    int32,
    int64,
    less,
    mul,
    neg,
    popcount,
    rem,
    shl,
    shr,
    sub,
    uint8,
    uint16,
    uint32,
    uint64,
    wram_view,
)

__all__ = ["NR_OPERANDS", "OPERATIONS", "OPERATORS", "TYPES", "arithmetic", "operators"]

TYPES = (int8, int16, int32, int64, uint8, uint16, uint32, uint64)
OPERATIONS = ("add", "sub", "mul", "div", "rem", "shl", "shr", "neg", "less", "clz", "popcount", "cast")
OPERATORS = (
    "and", "or", "xor", "add", "sub", "mul", "floordiv", "mod", "lshift", "rshift", "neg", "invert", "abs", "lt", "le",
    "eq", "min", "max", "and_then", "select",
)  # fmt: skip
NR_OPERANDS = 64

arithmetic = DpuProgram("arithmetic")
operation = arithmetic.host("operation", int32)
kind = arithmetic.host("kind", int32)
left = arithmetic.host("left", int64, NR_OPERANDS)
right = arithmetic.host("right", int64, NR_OPERANDS)
results = arithmetic.host("results", int64, NR_OPERANDS)


@dpu_function
def calculated(kind, operation, a, b):
    """The result of OPERATIONS[operation] of `device.arith`."""
    if operation == 0:
        return add(kind, a, b)
    if operation == 1:
        return sub(kind, a, b)
    if operation == 2:
        return mul(kind, a, b)
    if operation == 3:
        return div(kind, a, b)
    if operation == 4:
        return rem(kind, a, b)
    if operation == 5:
        return shl(kind, a, b)
    if operation == 6:
        return shr(kind, a, b)
    if operation == 7:
        return neg(kind, a)
    if operation == 8:
        return int(less(kind, a, b))
    if operation == 9:
        return clz(kind, a)
    if operation == 10:
        return popcount(kind, a)
    return kind(a)


@arithmetic.kernel
def calculate(t):
    """One operation of `device.arith` in one type, on all operands."""
    a, b, out = left.array(t), right.array(t), results.array(t)
    which, chosen = operation.load(t), kind.load(t)
    for i in range(NR_OPERANDS):
        if chosen == 0:
            out[i] = calculated(int8, which, a[i], b[i])
        elif chosen == 1:
            out[i] = calculated(int16, which, a[i], b[i])
        elif chosen == 2:
            out[i] = calculated(int32, which, a[i], b[i])
        elif chosen == 3:
            out[i] = calculated(int64, which, a[i], b[i])
        elif chosen == 4:
            out[i] = calculated(uint8, which, a[i], b[i])
        elif chosen == 5:
            out[i] = calculated(uint16, which, a[i], b[i])
        elif chosen == 6:
            out[i] = calculated(uint32, which, a[i], b[i])
        else:
            out[i] = calculated(uint64, which, a[i], b[i])


operators = DpuProgram("operators")
operator_of = operators.host("operator_of", int32, NR_OPERANDS)
left_kind = operators.host("left_kind", int32)
right_kind = operators.host("right_kind", int32)
left_bytes = operators.host("left_bytes", int64, NR_OPERANDS)
right_bytes = operators.host("right_bytes", int64, NR_OPERANDS)
combined = operators.host("combined", int64, NR_OPERANDS)


@dpu_function
def applied(operator, a, b):
    """The result of OPERATORS[operator] as the language has it, on values as they come from a load."""
    if operator == 0:
        return a & b
    if operator == 1:
        return a | b
    if operator == 2:
        return a ^ b
    if operator == 3:
        return a + b
    if operator == 4:
        return a - b
    if operator == 5:
        return a * b
    if operator == 6:
        return a // b
    if operator == 7:
        return a % b
    if operator == 8:
        return a << b
    if operator == 9:
        return a >> b
    if operator == 10:
        return -a
    if operator == 11:
        return ~a
    if operator == 12:
        return abs(a)
    if operator == 13:
        return int(a < b)
    if operator == 14:
        return -(a <= b)
    if operator == 15:
        return ~(a == b)
    if operator == 16:
        return min(a, b)
    if operator == 17:
        return max(a, b)
    if operator == 18:
        return a and b
    return a if b > 0 else -b


@dpu_function
def with_right(t, operator, a, kind, address):
    """Load the right operand as TYPES[kind] and apply the operator."""
    if kind == 0:
        return applied(operator, a, wram_view(t, int8, address, 1)[0])
    if kind == 1:
        return applied(operator, a, wram_view(t, int16, address, 1)[0])
    if kind == 2:
        return applied(operator, a, wram_view(t, int32, address, 1)[0])
    if kind == 3:
        return applied(operator, a, wram_view(t, int64, address, 1)[0])
    if kind == 4:
        return applied(operator, a, wram_view(t, uint8, address, 1)[0])
    if kind == 5:
        return applied(operator, a, wram_view(t, uint16, address, 1)[0])
    if kind == 6:
        return applied(operator, a, wram_view(t, uint32, address, 1)[0])
    return applied(operator, a, wram_view(t, uint64, address, 1)[0])


@operators.kernel
def combine(t):
    """Plain operators on operands that are loaded as any two integer types."""
    which, out = operator_of.array(t), combined.array(t)
    one, other = left_kind.load(t), right_kind.load(t)
    for i in range(NR_OPERANDS):
        at, there = left_bytes.address + 8 * i, right_bytes.address + 8 * i
        if one == 0:
            out[i] = with_right(t, which[i], wram_view(t, int8, at, 1)[0], other, there)
        elif one == 1:
            out[i] = with_right(t, which[i], wram_view(t, int16, at, 1)[0], other, there)
        elif one == 2:
            out[i] = with_right(t, which[i], wram_view(t, int32, at, 1)[0], other, there)
        elif one == 3:
            out[i] = with_right(t, which[i], wram_view(t, int64, at, 1)[0], other, there)
        elif one == 4:
            out[i] = with_right(t, which[i], wram_view(t, uint8, at, 1)[0], other, there)
        elif one == 5:
            out[i] = with_right(t, which[i], wram_view(t, uint16, at, 1)[0], other, there)
        elif one == 6:
            out[i] = with_right(t, which[i], wram_view(t, uint32, at, 1)[0], other, there)
        else:
            out[i] = with_right(t, which[i], wram_view(t, uint64, at, 1)[0], other, there)
