"""Streams on DPUs: who shares K and V, which queries run, what the comparison says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from host.sprint.dpu_attention import DpuSetup, at_positions, prune_on_dpus, stream_spec
from host.sprint.inputs import padded, synthetic_stream
from host.sprint.thresholding import Thresholder
from pim_runtime import EngineOptions

INTERPRETED = EngineOptions(engine="interpreted")
STREAM = synthetic_stream(3, heads=4, queries=6, tokens=16, dim=4, kv_heads=2)


def kv_heads_of(stream, **setup):
    return stream_spec(stream, DpuSetup(**setup), Thresholder()).kv_heads


@pytest.mark.quick
def test_heads_that_share_k_and_v_share_a_dpu():
    assert kv_heads_of(STREAM) == 2
    assert kv_heads_of(STREAM, kv_heads=4) == 4
    assert kv_heads_of(synthetic_stream(3, heads=4, queries=6, tokens=16, dim=4)) == 4
    uneven = replace(STREAM, keys=STREAM.keys[[0, 0, 0, 2]], values=STREAM.values[[0, 0, 0, 2]])
    assert kv_heads_of(uneven) == 4
    with pytest.raises(ValueError, match="would share keys, but theirs differ"):
        kv_heads_of(STREAM, kv_heads=1)
    with pytest.raises(ValueError, match="kv_heads = 3 for 4 heads"):
        kv_heads_of(STREAM, kv_heads=3)


@pytest.mark.quick
def test_a_comparison_runs_some_queries_and_leaves_padding_out():
    calls = []
    stream = padded(STREAM, 6)
    setup = DpuSetup(nr_tasklets=3, options=INTERPRETED)
    everything, nothing = prune_on_dpus(stream, [-np.inf, np.inf], positions=[0, 5], setup=setup, advance=calls.append)
    assert calls == [1, 1, 1]
    assert everything.dense is nothing.dense
    assert (everything.kept_fraction, nothing.kept_fraction) == (1, 0)
    assert everything.pruned.kept.shape == (4, 2, 6)
    assert everything.bytes_saved < 0 < nothing.bytes_saved < 1
    assert 0 < everything.speed_up < nothing.speed_up
    assert everything.dense.nr_dpus == 2
    assert (everything.dense.launch_s < everything.dense.step_s).all()
    for ours, theirs in zip(everything.pruned.answers, everything.dense.answers, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.quick
@pytest.mark.parametrize("positions", [[], [6], [-1]])
def test_positions_that_do_not_exist(positions):
    with pytest.raises(ValueError, match="the stream has queries 0 to 5"):
        at_positions(STREAM, positions)
