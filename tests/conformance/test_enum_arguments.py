"""An IntEnum names the places of a `__host` argument block, as a struct does in C."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from pim_runtime import DpuProgram
from pim_runtime.device import int64


class Place(IntEnum):
    INPUT = 0
    OUTPUT = 1


program = DpuProgram("enum_arguments")
block = program.host("block", int64, len(Place))


@program.kernel
def kernel(t):
    a = block.array(t)
    a[Place.OUTPUT] = 2 * a[Place.INPUT] + Place.OUTPUT


def test_an_enum_indexes_a_view(dpus, engine):
    one = dpus(1, engine)
    one.load(program)
    one.copy("block", np.array([[21, 0]]))
    one.exec()
    assert list(one.block.int64()) == [21, 43]
