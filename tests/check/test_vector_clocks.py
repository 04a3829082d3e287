"""Vector clocks against the definition of happens-before: reachability in the graph of all steps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pim_runtime.check.clocks import VectorClocks
from pim_runtime.check.finding import SourcePlace
from pim_runtime.check.races import AccessHistory

pytestmark = pytest.mark.quick

NR_TASKLETS = 4
TASKLETS = st.integers(0, NR_TASKLETS - 1)
THINGS = st.sampled_from(["lock", "units"])
HERE = SourcePlace("kernel.py", 1)

MASKS = st.sampled_from([1, 2, 3, 12, 15, 255]) | st.integers(1, 255)
VALUES = st.none() | st.integers(0, 1)
READS = st.tuples(st.just("read"), TASKLETS, st.integers(0, 1), MASKS, st.none())
WRITES = st.tuples(st.just("write"), TASKLETS, st.integers(0, 1), MASKS, VALUES)
ACCESSES = READS | WRITES
STEPS = st.lists(
    ACCESSES
    | st.tuples(st.sampled_from(["release", "acquire"]), TASKLETS, THINGS)
    | st.tuples(st.just("meet"), st.lists(TASKLETS, min_size=2, max_size=NR_TASKLETS, unique=True)),
    max_size=30,
)


class Order:
    """The definition: which steps are known to have happened before what each tasklet does next, as sets of steps."""

    def __init__(self):
        self.before = [set() for _ in range(NR_TASKLETS)]
        self.released = {}

    def step(self, index, step):
        kind = step[0]
        if kind == "release":
            self.released[step[2]] = self.released.get(step[2], set()) | self.before[step[1]]
        elif kind == "acquire":
            self.before[step[1]] |= self.released.get(step[2], set())
        elif kind == "meet":
            together = set().union(*(self.before[tasklet] for tasklet in step[1]))
            for tasklet in step[1]:
                self.before[tasklet] = set(together)
        else:
            self.before[step[1]].add(index)


def follow(clocks, step):
    kind = step[0]
    if kind == "release":
        clocks.release(step[1], step[2])
    elif kind == "acquire":
        clocks.acquire(step[1], step[2])
    elif kind == "meet":
        clocks.meet(step[1])


@given(STEPS)
def test_a_clock_knows_exactly_the_steps_that_happened_before(steps):
    clocks, order, done = VectorClocks(NR_TASKLETS), Order(), {}
    for index, step in enumerate(steps):
        if step[0] in ("read", "write"):
            done[index] = step[1], clocks.now(step[1])
        follow(clocks, step)
        order.step(index, step)
        for tasklet in range(NR_TASKLETS):
            known = {at for at, (other, clock) in done.items() if clocks.knows(tasklet, other, clock)}
            assert known == order.before[tasklet]


@given(STEPS)
def test_the_first_race_is_found_where_it_is_and_none_is_invented(steps):
    """Up to the first race, an access races exactly when an unordered one that conflicts with it lies before it.

    Stores of the same value to the same bytes do not conflict.
    """
    clocks, order, done = VectorClocks(NR_TASKLETS), Order(), {}
    history = AccessHistory(clocks)
    for index, step in enumerate(steps):
        if step[0] in ("read", "write"):
            kind, tasklet, word, mask, value = step
            conflicting = {
                at
                for at, (other_kind, other, other_word, other_mask, other_value) in done.items()
                if other != tasklet
                and (other_word, "write" in (kind, other_kind)) == (word, True)
                and other_mask & mask
                and at not in order.before[tasklet]
                and (value is None or (mask, value) != (other_mask, other_value))
            }
            if kind == "read":
                found = [history.read(word, mask, tasklet, HERE)]
            else:
                found = list(history.write(word, mask, tasklet, HERE, value))
            assert any(access is not None for access in found) == bool(conflicting)
            for access in found:
                assert access is None or access.tasklet in {done[at][1] for at in conflicting}
            if conflicting:
                return
            done[index] = step
        follow(clocks, step)
        order.step(index, step)


def test_tasklets_know_nothing_of_one_another_at_the_start():
    clocks = VectorClocks(2)
    assert not clocks.knows(0, 1, clocks.now(1))
    assert clocks.knows(0, 0, clocks.now(0))
