"""Any order of the tasklets gives a right kernel the same result, and some order exposes a wrong one."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels_for_tests.control import forgotten_barrier
from kernels_for_tests.running import run
from kernels_for_tests.synchronisation import LOCK, NO_LOCK, TRYLOCK, count_together, produce_and_consume, scan

from pim_runtime import EngineOptions
from pim_runtime.engine.turns import LONGEST_REIGN, turns_of

CYCLIC = EngineOptions(engine="interpreted")
ORDERS = st.builds(
    lambda order, seed: EngineOptions(engine="interpreted", tasklet_order=order, seed=seed),
    st.sampled_from(["random", "priority"]),
    st.integers(0, 1 << 32),
)
TASKLETS = st.integers(2, 24)


def shuffled(seed):
    return EngineOptions(engine="interpreted", tasklet_order="random", seed=seed)


def numbers_in(*numbers):
    return np.array([numbers], np.int32)


@settings(max_examples=20, deadline=None)
@given(order=ORDERS, nr_tasklets=TASKLETS)
def test_barriers_make_the_order_irrelevant(hardware, order, nr_tasklets):
    inputs = {"rounds": numbers_in(2), "values": np.arange(24)[None] % 7}
    sums = inputs["values"][0, :nr_tasklets].cumsum().cumsum()
    outcome = run(scan, order, hardware, nr_dpus=1, nr_tasklets=nr_tasklets, inputs=inputs)
    np.testing.assert_array_equal(outcome.of("values")[0, :nr_tasklets], sums)


@settings(max_examples=20, deadline=None)
@given(order=ORDERS, nr_tasklets=TASKLETS, strategy=st.sampled_from([LOCK, TRYLOCK]))
def test_a_mutex_protects_what_spans_a_yield(hardware, order, nr_tasklets, strategy):
    inputs = {"strategy": numbers_in(strategy), "rounds": numbers_in(3)}
    outcome = run(count_together, order, hardware, nr_dpus=1, nr_tasklets=nr_tasklets, inputs=inputs)
    assert outcome.of("counter")[0, 0] == 3 * nr_tasklets


@settings(max_examples=20, deadline=None)
@given(order=ORDERS, nr_tasklets=TASKLETS)
def test_semaphores_lose_nothing(hardware, order, nr_tasklets):
    inputs = {"items": numbers_in(4)}
    outcome = run(produce_and_consume, order, hardware, nr_dpus=1, nr_tasklets=nr_tasklets, inputs=inputs)
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


def test_a_seed_has_the_same_order_on_every_dpu(hardware):
    def neighbours(seed):
        return run(forgotten_barrier, shuffled(seed), hardware, nr_dpus=3).of("neighbours").tolist()

    assert neighbours(1) == neighbours(1)
    assert neighbours(1)[0] == neighbours(1)[1] == neighbours(1)[2]
    assert neighbours(1) != neighbours(2)


class FollowedTurns:
    """Tasklets that never wait, each for `nr_steps` steps, in a priority order."""

    def __init__(self, seed, nr_tasklets, nr_steps):
        turns, alive, left = turns_of("priority", seed, nr_tasklets), list(range(nr_tasklets)), [nr_steps] * nr_tasklets
        self.history = []
        while alive:
            tasklet = next(iter(turns.candidates(alive)))
            self.history.append(tasklet)
            left[tasklet] -= 1
            if not left[tasklet]:
                alive.remove(tasklet)
            assert turns.again(tasklet)


@given(seed=st.integers(0, 1 << 32), nr_tasklets=st.integers(1, 24))
def test_priority_starves_others_but_not_for_ever(seed, nr_tasklets):
    history = FollowedTurns(seed, nr_tasklets, 1000).history
    assert sorted(set(history)) == list(range(nr_tasklets))
    gaps = [at for at in range(1, len(history)) if history[at] != history[at - 1]]
    assert nr_tasklets == 1 or gaps[0] <= LONGEST_REIGN
    assert FollowedTurns(seed, nr_tasklets, 1000).history == history


def test_reigns_are_short_and_long():
    reigns = [
        len(list(steps)) for seed in range(20) for _, steps in itertools.groupby(FollowedTurns(seed, 4, 1000).history)
    ]
    assert min(reigns) == 1
    assert max(reigns) > 100
