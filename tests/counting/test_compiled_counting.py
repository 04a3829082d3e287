"""What goes wrong silently when compiled code counts: the pitfalls that a first version of the counters had."""

from __future__ import annotations

import re
from collections import Counter as Tally

import numpy as np
import pytest
from small_kernels import HARDWARE, amounts, launched, slots

from pim_runtime import DpuProgram, EngineOptions
from pim_runtime.compiler.cache import cache_folder
from pim_runtime.compiler.driver import load_driver
from pim_runtime.counters import Counter
from pim_runtime.counting.program import counted, uncounted
from pim_runtime.device import barrier_wait, dpu_function, int8, int16, int32, int64, me, wram_view

COMPILED = EngineOptions(engine="compiled", timing="exact")
VECTOR_OPERATION = re.compile(r"= (mul|add) [a-z ]*(<\d+ x i\d+>)")
LENGTH = 128


def vector_operations(closure):
    """How often machine code, as LLVM has it, multiplies and adds whole vectors, by operation and type."""
    drive = load_driver(closure)
    return Tally(VECTOR_OPERATION.findall(drive.inspect_llvm(drive.signatures[0])))


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    """A cache folder without code: what comes from a cache has no LLVM to look at."""
    monkeypatch.setenv("PIM_CACHE_DIR", str(tmp_path))
    cache_folder.cache_clear()
    yield
    cache_folder.cache_clear()


@pytest.mark.usefixtures("empty_cache")
@pytest.mark.parametrize("kind", [int8, int16, int32], ids=str)
def test_counted_inner_loops_still_vectorise(kind):
    """A counter that is stored in the loop keeps LLVM from it (30 to 50 times slower). Vectors are as wide as without
    counting, in the version of the loop that does not measure at least."""
    program = DpuProgram(f"vectorises_{kind}")
    a, b, out = program.host("a", kind, LENGTH), program.host("b", kind, LENGTH), program.host("out", int32)

    @dpu_function
    def dot(left, right):
        total = int32(0)
        for i in range(len(left)):
            total += left[i] * right[i]
        return total

    @program.kernel
    def kernel(t):
        out.store(t, dot(a.array(t), b.array(t)))

    closure = program.build(HARDWARE).closure
    plain, counting = (vector_operations(made(closure).closure) for made in (uncounted, counted))
    products = {key for key in plain if key[0] == "mul"}
    assert products, "not even the plain loop vectorises"
    for key in products:
        assert counting[key] >= plain[key], key


@pytest.mark.parametrize("nr_tasklets", [1, 16, 24])
def test_amounts_are_no_literals_and_survive_yields(nr_tasklets):
    """An amount that is typed as a literal, or a meter that a generator does not keep, gives plausible wrong counts."""
    program = DpuProgram("phases_of_constants")
    numbers, together = program.host("numbers", int32, 24), program.barrier("together")

    @program.kernel
    def kernel(t):
        view, mine = numbers.array(t), me(t)
        view[mine] = view[mine] + 1
        for i in range(3):
            yield barrier_wait(t, together)
            for _ in range(i * 5):
                view[mine] = view[mine] ^ 3
        view[mine] = view[mine] + 1

    result, _ = launched(program, options=COMPILED, nr_tasklets=nr_tasklets)
    found = result.counters.rows[0, :, :, Counter.SLOTS]
    assert (found == found[:, :1]).all()
    # Behind each of the first two barriers: the inner loop's start, a store's address and the next iteration alike;
    # the inner iterations differ by five: a load, an operation, a store and 2 to close the loop.
    assert found[2, 0] - found[1, 0] == 5 * (3 + 2)
    assert result.counters.nr_phases == 4


def test_functions_and_generators_count_alike():
    function, generator = DpuProgram("function"), DpuProgram("generator")
    alone = generator.barrier("alone")

    @dpu_function
    def work(t, view):
        total = 0
        for i in range(len(view)):
            if view[i] & 1:
                total += view[i] * view[i]
        return total

    of_function, of_generator = function.host("numbers", int32, 8), generator.host("numbers", int32, 8)

    @function.kernel
    def plain_kernel(t):
        view = of_function.array(t)
        view[0] = work(t, view)

    @generator.kernel
    def yielding_kernel(t):
        view = of_generator.array(t)
        view[0] = work(t, view)
        yield barrier_wait(t, alone)

    inputs = {"numbers": np.array([[3, 2, -5, 8, 9, 1 << 20, 7, 0]], np.int32)}
    (one, left), (other, left_too) = (launched(program, inputs, COMPILED) for program in (function, generator))
    assert {**amounts(one), Counter.BARRIERS: 1} == amounts(other)
    assert np.array_equal(left["numbers"], left_too["numbers"])


def test_the_compilers_int64_is_not_cs():
    """numba computes indices, addresses and plain integers in 64 bits; on a DPU they are ints of 32."""
    program = DpuProgram("widths")
    numbers, wide, n = program.host("numbers", int32, 64), program.host("wide", int64, 8), program.host("n", int32)

    @program.kernel
    def kernel(t):
        a, k = numbers.array(t), n.load(t)  # a load
        i = k * 3 + 1  # one shift-and-add, one addition
        j = i * k  # a 32-bit multiply: two moves
        b = wram_view(t, int32, numbers.address + 4 * j, 8)  # a shift-and-add: (j << 2) + address
        a[i] = b[0] + (k << 1)  # address, load, shift-and-add, store
        w = wide.array(t)
        w[0] = w[1] + w[2]  # two loads, two words added, store

    result, _ = launched(program, {"n": np.array([[2]], np.int32)}, COMPILED)
    assert amounts(result) == slots(1 + 2 + 2 + 1 + 4 + 5 + 1, MUL32=1, MUL32_STEPS=1)
