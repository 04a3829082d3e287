"""The compiled engine: numba drivers over ranges of DPUs, in nogil threads."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..device.faults import FaultCode
from ..device.run_record import DPU, FAULT_CODE
from ..device.tasklet import Checks
from ..errors import KernelError
from ..language.closure import Closure
from .faults import Fault, read_fault
from .protocol import Addresses

__all__ = ["CompiledEngine"]


class CompiledEngine:
    """Runs machine code; imports numba when the first program is prepared."""

    def __init__(self, checks: Checks) -> None:
        self._checks = checks

    def prepare(self, closure: Closure) -> None:
        from ..compiler.driver import load_driver

        if closure.debugs:
            raise KernelError(
                f"the kernel {closure.kernel.__qualname__} calls print() or breakpoint(), which only CPython runs: use "
                "EngineOptions(engine='interpreted'), or printf(t, ...)"
            )
        load_driver(closure, self._checks)

    def run(
        self, closure: Closure, nr_tasklets: int, dpus: range, addresses: Addresses, record: NDArray[np.int64]
    ) -> list[Fault]:
        from ..compiler.driver import load_driver

        drive, faults, first = load_driver(closure, self._checks), [], dpus.start
        while first < dpus.stop:
            try:
                drive(
                    addresses.mram,
                    addresses.wram,
                    addresses.mram_stride,
                    addresses.wram_stride,
                    first,
                    dpus.stop,
                    nr_tasklets,
                    record.ctypes.data,
                    addresses.counters,
                    addresses.counters_stride,
                    addresses.phases,
                    addresses.measured,
                )
                break
            except Exception as error:  # a fault, or what the kernel raised: the record says where
                if record[FAULT_CODE] == FaultCode.INTERRUPTED:
                    break
                dpu = int(record[DPU])
                faults.append(read_fault(record, dpu, nr_tasklets, error, closure, addresses.wram_of(dpu)))
                first = dpu + 1
        return faults
