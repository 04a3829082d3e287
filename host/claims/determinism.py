"""Checks that need the emulated machine and no particular workload: exact equality, and the same bits (B-9, B-10)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product

import numpy as np

from host.attention.reference import attention_div_d

from .evidence import DTYPES, decode
from .inventory import operand_inventory
from .judging import Answer, Holds

__all__ = ["determinism_checks"]

DIM = 128


def determinism_checks() -> Mapping[str, Callable[[], Answer]]:
    """The checks by claim id."""
    return {"B-9": wrapping_kernels_equal_the_closed_form}


def wrapping_kernels_equal_the_closed_form() -> Answer:
    """B-9: adversarial operands over the whole type, on DPUs."""
    different = compared = 0
    for dtype, tokens in product(DTYPES, (1, 2, 7, 8, 9, 17, 200)):
        info = np.iinfo(dtype)
        operands = operand_inventory(dtype, tokens=tokens, dim=DIM, lowest=int(info.min), highest=int(info.max))
        expected = attention_div_d(*operands, acc="wrap")
        for nr_tasklets in (2, 17, 24):
            outputs = decode(operands, nr_tasklets=nr_tasklets).outputs
            different += int(np.not_equal(outputs, expected).sum())
            compared += expected.size
    return Holds(passed=not different, detail=f"{compared - different:,} of {compared:,} elements equal")
