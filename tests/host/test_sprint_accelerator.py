"""SPRINT's chip: shares of corelets, cycles and energy of whole runs, against closed forms and each other."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from host.attention.partition import Partition
from host.machines.sprint_chip import sprint_chips
from host.sprint.accelerator import Accelerator, gain
from host.sprint.corelets import balance, compute_cycles, corelet_tokens, key_cycles, mean_balance
from host.sprint.energy import GROUPS, energy_split
from host.sprint.padding import Padding, dense_bytes, dense_loads, sprint_bytes
from host.sprint.timing import Timing
from pim_runtime.errors import ProfileError

pytestmark = pytest.mark.quick

CHIPS = {name: sprint_chips().load(name) for name in ("sprint-s", "sprint-m", "sprint-l")}

masks = st.tuples(st.integers(1, 5), st.integers(1, 24)).flatmap(lambda shape: arrays(np.bool_, shape))
partitions = st.builds(Partition, parts=st.integers(1, 6), layout=st.sampled_from(("block", "interleave")))


def accelerator(name="sprint-s", dim=64, **options):
    return Accelerator(chip=CHIPS[name], dim=dim, **options)


@settings(max_examples=40)
@given(masks, partitions)
def test_every_kept_token_has_one_corelet(keep, corelets):
    tokens = corelet_tokens(keep, corelets)
    assert tokens.sum(axis=-1).tolist() == keep.sum(axis=-1).tolist()
    assert all(1 / corelets.parts <= share <= 1 for share in balance(tokens))
    assert min(balance(tokens)) <= mean_balance(tokens) <= 1


@settings(max_examples=40)
@given(masks, st.integers(1, 6))
def test_token_j_is_that_of_corelet_j_mod_n(keep, count):
    tokens = corelet_tokens(keep, Partition(parts=count, layout="interleave"))
    assert tokens.tolist() == [[int(query[corelet::count].sum()) for corelet in range(count)] for query in keep]


@settings(max_examples=40)
@given(masks, partitions, st.data())
def test_more_survivors_never_take_fewer_cycles(keep, corelets, data):
    more = keep | data.draw(arrays(np.bool_, keep.shape))
    cycles = [compute_cycles(corelet_tokens(mask, corelets), dim=65, lanes=64) for mask in (keep, more)]
    assert (cycles[0] <= cycles[1]).all()
    assert (cycles[0] % 2 == 0).all()  # two cycles for a key of 65 dimensions


@given(st.integers(1, 60), st.integers(0, 59), st.integers(1, 60), st.integers(1, 6))
def test_no_mapping_shares_out_a_run_more_evenly_than_interleaving(tokens, first, length, count):
    keep = np.zeros((1, tokens), np.bool_)
    keep[0, first : first + length] = True
    by_layout = {
        layout: corelet_tokens(keep, Partition(parts=count, layout=layout))[0] for layout in ("interleave", "block")
    }
    run = int(keep.sum())
    assert by_layout["interleave"].max() == -(-run // count) <= by_layout["block"].max()


@settings(max_examples=40)
@given(arrays(np.bool_, st.tuples(st.integers(1, 5), st.sampled_from((4, 8, 20)))))
def test_the_gain_of_the_arithmetic_falls_with_corelets_whatever_is_kept(keep):
    dense = np.ones_like(keep)
    gains = []
    for count in (1, 2, 4):
        corelets = Partition(parts=count, layout="interleave")
        theirs, ours = (
            int(compute_cycles(corelet_tokens(mask, corelets), dim=64, lanes=64).sum()) for mask in (dense, keep)
        )
        gains.append(Fraction(theirs, ours) if ours else math.inf)
    assert all(fewer >= more for fewer, more in pairwise(gains))


@settings(max_examples=20)
@given(masks, st.sampled_from(tuple(CHIPS)), st.sampled_from(("interleave", "block")))
def test_a_run_is_its_parts(keep, name, mapping):
    of = accelerator(name, mapping=mapping)
    run = of.run(keep)
    queries, tokens = keep.shape
    cycles, moved = run.cycles, run.moved
    assert (moved.load + moved.reuse).tolist() == [keep.sum(axis=-1).tolist()]
    assert (moved.opened_rows + moved.row_hits).tolist() == moved.load.tolist()
    assert cycles.total == queries * cycles.thresholds + int(np.maximum(cycles.load, cycles.compute).sum())
    assert run.cost.seconds == cycles.total / 1e9
    assert sum(energy_split(run.cost).values()) == pytest.approx(run.cost.joules)
    loaded, kept = int(moved.load.sum()), int(keep.sum())
    picojoules = {
        "pruning in ReRAM": queries * tokens * 64 * 0.10,
        "ReRAM reads and writes": 8 * (3.1 * (queries * 64 + loaded * 128) + 24.4 * (queries * 64 + tokens * 128)),
        "K/V buffer": 8 * 128 * 0.33 * (loaded + kept),
        "QK-PU, softmax, V-PU": 2 * 64 * kept * 0.63 + 7 * kept,
    }
    assert list(energy_split(run.cost)) == list(GROUPS)
    for group, joules in energy_split(run.cost).items():
        assert joules == pytest.approx(1e-12 * picojoules[group])


@given(st.integers(1, 12), st.integers(1, 40), st.sampled_from(tuple(CHIPS)))
@settings(max_examples=20)
def test_dense_attention_multiplies_every_key(queries, tokens, name):
    run = accelerator(name).dense(queries, tokens)
    corelets = run.tokens.shape[-1]
    assert run.cycles.thresholds == 0
    assert run.cycles.compute.tolist() == [[-(-tokens // corelets)] * queries]
    assert run.cost.part("pruning in ReRAM").joules == 0
    assert int(run.moved.load.sum()) == tokens  # all fit, and stay


@given(masks)
@settings(max_examples=20)
def test_bytes_are_those_of_the_modes_without_the_commands(keep):
    of, tokens = accelerator(), keep.shape[1]
    stated = sprint_bytes(keep, dim=64, capacity_tokens=of.capacity_tokens)
    assert of.run(keep).cost.part("ReRAM reads and writes", "reads").moved_bytes == stated.kv + stated.queries
    dense = dense_bytes(Padding(tokens, tokens), "baseline", dim=64, capacity_tokens=of.capacity_tokens)
    reads = of.dense(tokens, tokens).cost.part("ReRAM reads and writes", "reads")
    assert reads.moved_bytes == dense.kv + dense.queries


def test_dense_attention_beyond_the_buffer_loads_again_what_did_not_fit():
    run = accelerator().dense(5, 140)
    assert int(run.moved.load.sum()) == dense_loads(140, capacity_tokens=128) - 135 * 12  # of 5 queries, and not of 140
    assert run.moved.refetch.tolist() == [[0, 12, 12, 12, 12]]


def test_heads_follow_one_another_each_with_an_empty_buffer():
    keep = np.random.default_rng(1).random((2, 6, 30)) < 0.3
    together, alone = accelerator("sprint-m").run(keep), [accelerator("sprint-m").run(head) for head in keep]
    assert together.cycles.total == sum(run.cycles.total for run in alone)
    assert together.cost.joules == pytest.approx(sum(run.cost.joules for run in alone))
    assert together.moved.load.tolist() == [run.moved.load[0].tolist() for run in alone]
    dense = accelerator("sprint-m").dense(6, 30)
    assert gain(together, dense).time == 2 * dense.cycles.total / together.cycles.total


def test_arrivals_by_hand():
    """Tokens 0 to 3 come in after 63 cycles; token 64, of the row of token 0, is there 20 cycles later."""
    keep = np.zeros((2, 128), np.bool_)
    keep[0, [0, 1, 2, 3]] = keep[1, [0, 1, 2, 3, 64]] = True
    ends = {
        misses: accelerator(timing=Timing(misses=misses)).run(keep).cycles.end[0].tolist()
        for misses in ("present first", "arrivals", "stall")
    }
    # Thresholds take 25. The first query loads 4 for 63 cycles, the second one for 35 of an open row; a token takes 1.
    assert ends == {
        "present first": [25 + 63, 88 + 25 + 35],
        "arrivals": [25 + 63 + 4, 92 + 25 + 35 + 1],
        "stall": [25 + 63 + 4, 92 + 25 + 35 + 5],
    }


@pytest.mark.parametrize(
    ("name", "corelets", "tokens"), [("sprint-s", 1, 128), ("sprint-m", 2, 256), ("sprint-l", 4, 512)]
)
def test_buffers_and_corelets_of_the_three_chips(name, corelets, tokens):
    of = accelerator(name)
    assert (of.chip.corelets.count, of.capacity_tokens) == (corelets, tokens)
    keep = np.ones((3, tokens + 5), np.bool_)
    refetched = of.run(keep).moved.refetch
    assert refetched.tolist() == [[0, 5, 5]]


def test_a_bus_takes_whole_cycles():
    chip = CHIPS["sprint-s"]
    assert [chip.bus_cycles(size) for size in (0, 1, 64, 65, 128)] == [0, 1, 10, 11, 20]
    slower = chip.with_values({"corelets.clock_mhz": 500})
    assert (slower.bus_cycles(64), slower.clock_hz) == (5, 500_000_000)
    assert slower.quantities["corelets.clock_mhz"].provenance == "assumed"


def test_what_is_refused():
    with pytest.raises(ValueError, match="dim = 0"):
        accelerator(dim=0)
    with pytest.raises(ValueError, match="layout"):
        accelerator(mapping="random")
    with pytest.raises(ValueError, match="queries and tokens"):
        accelerator().run(np.zeros((0, 4), np.bool_))
    with pytest.raises(ValueError, match=r"selecting = 'chance'.*in memory, nothing"):
        accelerator().run(np.ones((1, 4), np.bool_), selecting="chance")
    with pytest.raises(ValueError, match="dense attention of 0 queries"):
        accelerator().dense(0, 4)
    with pytest.raises(ValueError, match="0 lanes"):
        key_cycles(64, 0)
    with pytest.raises(ProfileError, match=r"memory\.channels"):
        CHIPS["sprint-s"].with_values({"memory.channel": 2})
    with pytest.raises(ProfileError, match="no SPRINT chip 'sprint-x'"):
        sprint_chips().load("sprint-x")
