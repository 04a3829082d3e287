"""Any order of the tasklets gives a right kernel the same result, and some order exposes a wrong one."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels_for_tests.control import forgotten_barrier
from kernels_for_tests.running import run
from kernels_for_tests.synchronisation import LOCK, NO_LOCK, TRYLOCK, count_together, produce_and_consume, scan

from pim_runtime import EngineOptions

CYCLIC = EngineOptions(engine="interpreted")
SEEDS = st.integers(0, 1 << 32)
TASKLETS = st.integers(2, 24)


def shuffled(seed):
    return EngineOptions(engine="interpreted", tasklet_order="random", seed=seed)


def numbers_in(*numbers):
    return np.array([numbers], np.int32)


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, nr_tasklets=TASKLETS)
def test_barriers_make_the_order_irrelevant(hardware, seed, nr_tasklets):
    inputs = {"rounds": numbers_in(2), "values": np.arange(24)[None] % 7}
    sums = inputs["values"][0, :nr_tasklets].cumsum().cumsum()
    outcome = run(scan, shuffled(seed), hardware, nr_dpus=1, nr_tasklets=nr_tasklets, inputs=inputs)
    np.testing.assert_array_equal(outcome.of("values")[0, :nr_tasklets], sums)


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, nr_tasklets=TASKLETS, strategy=st.sampled_from([LOCK, TRYLOCK]))
def test_a_mutex_protects_what_spans_a_yield(hardware, seed, nr_tasklets, strategy):
    inputs = {"strategy": numbers_in(strategy), "rounds": numbers_in(3)}
    outcome = run(count_together, shuffled(seed), hardware, nr_dpus=1, nr_tasklets=nr_tasklets, inputs=inputs)
    assert outcome.of("counter")[0, 0] == 3 * nr_tasklets


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, nr_tasklets=TASKLETS)
def test_semaphores_lose_nothing(hardware, seed, nr_tasklets):
    inputs = {"items": numbers_in(4)}
    outcome = run(produce_and_consume, shuffled(seed), hardware, nr_dpus=1, nr_tasklets=nr_tasklets, inputs=inputs)
    assert outcome.of("sum_of_squares")[0, 0] == sum(item * item for item in range(4 * (nr_tasklets - 1)))


def test_updates_get_lost_without_a_mutex(hardware, engine):
    inputs = {"strategy": numbers_in(NO_LOCK), "rounds": numbers_in(3)}
    outcome = run(count_together, engine, hardware, nr_dpus=1, nr_tasklets=8, inputs=inputs)
    assert outcome.of("counter")[0, 0] < 3 * 8


def test_a_forgotten_barrier_shows_in_random_order_only(hardware):
    def neighbours(options):
        return run(forgotten_barrier, options, hardware, nr_dpus=1).of("neighbours")[0, :16].tolist()

    assert neighbours(CYCLIC) == list(range(16))
    assert all(neighbours(shuffled(seed)) != list(range(16)) for seed in range(5))


def test_a_seed_repeats_its_order(hardware):
    def neighbours(seed):
        return run(forgotten_barrier, shuffled(seed), hardware, nr_dpus=3).of("neighbours").tolist()

    assert neighbours(1) == neighbours(1)
    assert neighbours(1) != neighbours(2)
