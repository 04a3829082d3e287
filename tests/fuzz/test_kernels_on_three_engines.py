"""Random kernels leave the same bits, fault at the same place and count the same on both engines, and as C.

More of them: benchmarks/kernel_fuzz.py.
"""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from benchmarks.fuzz.engines import Laboratory
from benchmarks.fuzz.kernels import random_kernel


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory, hardware):
    return Laboratory(tmp_path_factory.mktemp("random_kernels"), hardware)


@settings(max_examples=40)
@given(random=st.randoms(use_true_random=False), faults=st.booleans(), seed=st.integers(0, 1 << 30))
def test_interpreted_kernels_do_what_c_does(laboratory, random, faults, seed):
    laboratory.check(random_kernel(random, faults=faults), seed, ["interpreted"])


# Always the same kernels: they are compiled once. A failure names its kernel; to make it smaller would take minutes.
@settings(max_examples=3, derandomize=True, phases=[Phase.generate])
@given(number=st.integers(0, 1 << 30), faults=st.booleans())
def test_compiled_kernels_do_what_c_does(laboratory, number, faults):
    laboratory.check(random_kernel(Random(number), faults=faults), number)
