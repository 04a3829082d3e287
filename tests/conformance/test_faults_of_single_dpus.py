"""A fault in the middle of a launch is seen, at the right DPU, and harms nobody else."""

from __future__ import annotations

import numpy as np
import pytest
from kernels_for_tests.control import HALT, WRONG_INDEX, stumble

from pim_runtime import DpuFaultError, EngineOptions
from pim_runtime.device.faults import FaultCode

NR_DPUS = 130  # three ranks, and many ranges of DPUs for the host's threads
ENGINES = [EngineOptions(engine="interpreted"), *(EngineOptions(engine="compiled", threads=n) for n in (1, 2, 5))]


@pytest.mark.parametrize("options", ENGINES, ids=lambda options: f"{options.engine}-{options.threads}")
@pytest.mark.parametrize("faulty", [{}, {129: HALT}, {3: HALT, 127: WRONG_INDEX}, dict.fromkeys(range(130), HALT)])
def test_each_fault_is_reported_at_its_dpu(dpus, options, faulty):
    dpu_set = dpus(NR_DPUS, options)
    dpu_set.load(stumble)
    choices = np.zeros((NR_DPUS, 1), np.int32)
    for dpu, what in faulty.items():
        choices[dpu] = what
    dpu_set.copy("stumbles", choices)
    faults = ()
    try:
        dpu_set.exec()
    except DpuFaultError as error:
        faults = error.faults
    codes = {HALT: FaultCode.HALT, WRONG_INDEX: FaultCode.WRAM_INDEX}
    assert [(fault.dpu, fault.code) for fault in faults] == [(dpu, codes[what]) for dpu, what in faulty.items()]
    assert {(fault.tasklet, fault.phase) for fault in faults} <= {(1, 1)}
    reached = np.zeros((NR_DPUS, 2), np.int32)
    dpu_set.copy(reached, "reached")
    np.testing.assert_array_equal(reached, np.repeat(choices == 0, 2, axis=1))


def test_the_set_works_again_after_a_fault(dpus, engine):
    dpu_set = dpus(2, engine)
    dpu_set.load(stumble)
    dpu_set.copy("stumbles", np.array([[0], [HALT]], np.int32))
    with pytest.raises(DpuFaultError):
        dpu_set.exec()
    dpu_set.load(stumble)
    (result,) = dpu_set.exec()
    assert not result.faults
    assert result.counters.barriers.tolist() == [2, 2]
