"""Real activations: 24 heads of all-MiniLM-L6-v2, 384 queries each, every element checked."""

from __future__ import annotations

import numpy as np
import pytest

from host.attention.experiment import run_workload
from host.attention.samples import shipped_operands
from host.attention.verification import verify
from host.attention.workload import real_workload
from pim_runtime import EngineOptions, Machine

HEADS, POSITIONS, DIM = 24, 384, 32
# Mean and worst head of the relative L2 error to float64 attention of the unquantised tensors, at most.
QUANTISATION_ERROR = {"int8": (0.016, 0.026), "int16": (2e-4, 2e-4), "int32": (2e-4, 2e-4)}


def outcome_of(dtype, norm, hardware, batch=32):
    workload = real_workload(shipped_operands(), dtype=dtype, norm=norm, acc="wide", batch=batch)
    outcome = run_workload(
        workload, nr_tasklets=17, machine=Machine(hardware), options=EngineOptions(), advance=lambda steps: None
    )
    return outcome, verify(workload, outcome, advance=lambda contexts: None)


@pytest.mark.parametrize("dtype", QUANTISATION_ERROR)
def test_softmax_attention_is_exact_and_close_to_float64(hardware, dtype):
    outcome, verification = outcome_of(dtype, "softmax", hardware)
    assert (outcome.nr_dpus, outcome.nr_ranks) == (32 * HEADS, 12)
    assert verification.compared == HEADS * POSITIONS * (DIM + 2)  # outputs, largest score and sum of weights
    assert verification.different == 0
    errors = np.array(verification.real.relative_l2)
    assert len(errors) == HEADS
    mean, worst = QUANTISATION_ERROR[dtype]
    assert errors.mean() <= mean
    assert errors.max() <= worst
    assert verification.real.worst_share_of_bound <= 1
    assert verification.kernel.worst_share_of_bound <= 1


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32"])
def test_div_d_attention_is_exact(hardware, dtype):
    _, verification = outcome_of(dtype, "div_d", hardware)
    assert (verification.compared, verification.different) == (HEADS * POSITIONS * DIM, 0)
    assert verification.kernel.worst_share_of_bound <= 1
    assert verification.real is None


def test_the_batch_does_not_change_the_outputs(hardware):
    """384 positions in 12 steps of 32 requests or in 4 of 96; a last step that is not full changes nothing either."""
    one, _ = outcome_of("int8", "softmax", hardware)
    for batch in (96, 100):
        other, verification = outcome_of("int8", "softmax", hardware, batch=batch)
        assert verification.different == 0
        for ours, theirs in zip(one.outputs, other.outputs, strict=True):
            of_position = theirs.reshape(-1, *theirs.shape[2:])[:POSITIONS]
            np.testing.assert_array_equal(of_position, ours.reshape(-1, *ours.shape[2:]))
