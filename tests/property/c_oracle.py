"""C's own opinion about integer arithmetic: a shared library of one function, compiled when the tests run."""

from __future__ import annotations

import os
import subprocess

import cffi
import numpy as np
from kernels_for_tests.arithmetic import OPERATIONS, TYPES

__all__ = ["COracle"]

SIGNATURE = "void calculate(int operation, int kind, int n, const int64_t *a, const int64_t *b, int64_t *results);"

# A division by -1 is written as a negation: the one quotient that overflows traps on x86, and wraps on a DPU.
ONE_TYPE = """
static int64_t calculate_{T}(int operation, int64_t x, int64_t y) {{
    {T} a = x, b = y;
    int n = y & ({bits} == 64 ? 63 : 31), minus_one = {signed} && b == ({T})-1;
    switch (operation) {{
        case op_add: return ({T})(a + b);
        case op_sub: return ({T})(a - b);
        case op_mul: return ({T})(a * b);
        case op_div: return minus_one ? ({T})-a : ({T})(a / b);
        case op_rem: return minus_one ? 0 : ({T})(a % b);
        case op_shl: return ({T})(a << n);
        case op_shr: return ({T})(a >> n);
        case op_neg: return ({T})-a;
        case op_less: return a < b;
        case op_clz: return ({U})a ? __builtin_clzll(({U})a) - (64 - {bits}) : {bits};
        case op_popcount: return __builtin_popcountll(({U})a);
        default: return a;
    }}
}}
"""


def _source() -> str:
    def function_of(kind):
        return ONE_TYPE.format(T=f"{kind}_t", U=f"uint{kind.bits}_t", bits=kind.bits, signed=int(kind.signed))

    return f"""
#include <stdint.h>
enum {{ {", ".join(f"op_{name}" for name in OPERATIONS)} }};
{"".join(map(function_of, TYPES))}
static int64_t (*const calculate_as[])(int, int64_t, int64_t) = {{
    {", ".join(f"calculate_{kind}_t" for kind in TYPES)}
}};
{SIGNATURE.rstrip(";")}
{{
    for (int i = 0; i < n; i++)
        results[i] = calculate_as[kind](operation, a[i], b[i]);
}}
"""


class COracle:
    """`oracle(operation, kind, a, b)` computes OPERATIONS[operation] on int64 arrays in the C type of TYPES[kind]."""

    def __init__(self, folder) -> None:
        source, library = folder / "oracle.c", folder / "oracle.so"
        source.write_text(_source())
        compiler = os.environ.get("CC", "cc").split()
        subprocess.run([*compiler, "-O1", "-fwrapv", "-fPIC", "-shared", "-o", str(library), str(source)], check=True)
        self._ffi = cffi.FFI()
        self._ffi.cdef(SIGNATURE)
        self._library = self._ffi.dlopen(str(library))

    def __call__(self, operation, kind, a, b):
        results = np.zeros(len(a), np.int64)
        cells = (self._ffi.from_buffer("int64_t[]", np.ascontiguousarray(array, np.int64)) for array in (a, b, results))
        self._library.calculate(operation, kind, len(a), *cells)
        return results
