"""What host and calibration kernels agree on: arguments, and where the arrays lie in MRAM."""

from __future__ import annotations

from enum import IntEnum

from pim_runtime.device import IntegerType, uint16, uint32

__all__ = ["RESULT_ELEMS", "Argument", "register_kind"]

RESULT_ELEMS = 4  # what a tasklet of the reduction writes; the first is its sum


class Argument(IntEnum):
    """Places in the host variable `arguments`, uint32. Arrays lie one behind the other from the MRAM heap on: operands,
    then the result; each tasklet owns TASKLET_BYTES of every array, one tasklet after the other."""

    BLOCKS = 0  # per tasklet
    BLOCK_ELEMS = 1
    BLOCK_BYTES = 2
    TASKLET_BYTES = 3
    ARRAY_BYTES = 4


def register_kind(kind: IntegerType) -> IntegerType:
    """Type in which a sum of `kind` is kept in a register: a DPU has registers of 32 bits, a store cuts to 16."""
    return uint32 if kind is uint16 else kind
