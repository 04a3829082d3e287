"""The compiled engine: numba drivers over ranges of DPUs, in nogil threads."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..device.run_record import DPU
from ..errors import KernelError
from ..program import DpuBinary
from .faults import Fault, read_fault
from .protocol import Addresses

__all__ = ["CompiledEngine"]


class CompiledEngine:
    """Runs machine code; imports numba when the first program is prepared."""

    def prepare(self, binary: DpuBinary) -> None:
        from ..compiler.driver import load_driver

        if binary.closure.debugs:
            raise KernelError(
                f"the kernel of {binary.name!r} calls print() or breakpoint(), which only CPython can run: use "
                "EngineOptions(engine='interpreted'), or printf(t, ...)"
            )
        load_driver(binary.closure)

    def run(self, binary: DpuBinary, dpus: range, addresses: Addresses, record: NDArray[np.int64]) -> list[Fault]:
        from ..compiler.driver import load_driver

        drive, faults, first = load_driver(binary.closure), [], dpus.start
        while first < dpus.stop:
            try:
                drive(
                    addresses.mram,
                    addresses.wram,
                    addresses.mram_stride,
                    addresses.wram_stride,
                    first,
                    dpus.stop,
                    binary.nr_tasklets,
                    record.ctypes.data,
                    addresses.counters,
                    addresses.counters_stride,
                    addresses.phases,
                )
                break
            except Exception as error:  # a fault, or what the kernel raised: the record says where
                dpu = int(record[DPU])
                faults.append(read_fault(record, dpu, binary.nr_tasklets, error, binary.closure.files))
                first = dpu + 1
        return faults
