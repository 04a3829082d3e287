"""Why nobody comes: every kind of wait that never ends, with the sentence about it, word for word in both engines."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from pim_runtime import DpuFaultError, DpuProgram, DpuSet
from pim_runtime.device import (
    barrier_wait,
    handshake_notify,
    handshake_wait_for,
    int64,
    me,
    mutex_lock,
    sem_give,
    sem_take,
)

CROSS, LISTEN_TO_ITSELF, LOCK_AND_MEET, TWO_BARRIERS, RING = range(5)
SHORT, ONE_ROUND_MORE, LOCK_TWICE, TOO_FEW, ALL_NOTIFY = range(5, 10)

program = DpuProgram("reasons", nr_tasklets=4)
what = program.host("what", int64)
red, blue = program.mutex("red"), program.mutex("blue")
gate, pair = program.barrier("gate"), program.barrier("pair", 2)
units = program.semaphore("units", -2)


@program.kernel
def wait(t):
    """One mistake each; every wait has a line of its own."""
    do, i = what.load(t), me(t)
    if do == CROSS:
        if i == 0:
            yield mutex_lock(t, red)
            yield barrier_wait(t, pair)
            yield mutex_lock(t, blue)  # blue second
        elif i == 1:
            yield mutex_lock(t, blue)
            yield barrier_wait(t, pair)
            yield mutex_lock(t, red)  # red second
    elif do == LISTEN_TO_ITSELF:
        if i == 2:
            yield handshake_wait_for(t, i)  # itself
    elif do == LOCK_AND_MEET:
        yield mutex_lock(t, red)  # before the gate
        yield barrier_wait(t, gate)  # with red
    elif do == TWO_BARRIERS:
        if i == 3:
            yield barrier_wait(t, pair)  # the wrong one
        else:
            yield barrier_wait(t, gate)  # the right one
    elif do == RING:
        yield handshake_wait_for(t, (i + 1) & 3)  # the next
    elif do == SHORT:
        sem_give(t, units)
        yield sem_take(t, units)  # of two
    elif do == ONE_ROUND_MORE:
        yield barrier_wait(t, gate)
        if i:
            yield barrier_wait(t, gate)  # round two
    elif do == LOCK_TWICE:
        yield mutex_lock(t, red)  # first
        yield mutex_lock(t, red)  # second
    elif do == TOO_FEW:
        if i == 0:
            yield barrier_wait(t, pair)  # alone
    elif do == ALL_NOTIFY:
        yield handshake_notify(t)  # all


PAIRING = "Pair every handshake_notify with one handshake_wait_for"
ORDER = "Take mutexes in the same order everywhere, and wait for nothing else while holding one"
EQUALLY_OFTEN = "Let all that it counts come equally often"

WAITS = {
    CROSS: [
        ("tasklet 0 waits for mutex 'blue'", "# blue second", f"tasklet 1 holds it and waits for mutex 'red'. {ORDER}"),
        ("tasklet 1 waits for mutex 'red'", "# red second", f"tasklet 0 holds it and waits for mutex 'blue'. {ORDER}"),
        "finished: 2-3",
        "a circle: tasklet 0 waits for tasklet 1, which waits for tasklet 0",
    ],
    LISTEN_TO_ITSELF: [
        ("tasklet 2 waits for tasklet 2 to notify", "# itself", "that is itself. Wait for another tasklet"),
        "finished: 0-1, 3",
    ],
    LOCK_AND_MEET: [
        ("tasklet 0 waits for barrier 'gate'", "# with red",
         f"it counts 4 tasklets and 1 is here; tasklets 1-3 wait for mutex 'red'. {EQUALLY_OFTEN}"),
        ("tasklets 1-3 wait for mutex 'red'", "# before the gate",
         f"tasklet 0 holds it and waits for barrier 'gate'. {ORDER}"),
        "a circle: tasklet 0 waits for tasklet 1, which waits for tasklet 0",
    ],
    TWO_BARRIERS: [
        ("tasklets 0-2 wait for barrier 'gate'", "# the right one",
         f"it counts 4 tasklets and 3 are here; tasklet 3 waits for barrier 'pair'. {EQUALLY_OFTEN}"),
        ("tasklet 3 waits for barrier 'pair'", "# the wrong one",
         f"it counts 2 tasklets and 1 is here; tasklets 0-2 wait for barrier 'gate'. {EQUALLY_OFTEN}"),
    ],
    RING: [
        *((f"tasklet {i} waits for tasklet {(i + 1) % 4} to notify", "# the next",
           f"tasklet {(i + 1) % 4} itself waits for tasklet {(i + 2) % 4} to notify. {PAIRING}") for i in range(4)),
        "a circle: " + ", which waits for ".join(f"tasklet {i % 4}" for i in range(5)).replace(", which", "", 1),
    ],
    SHORT: [
        ("tasklets 2-3 wait for semaphore 'units'", "# of two",
         "its count is 0, and tasklets 0-1 have finished. Give as many units as are taken"),
        "finished: 0-1",
    ],
    ONE_ROUND_MORE: [
        ("tasklets 1-3 wait for barrier 'gate'", "# round two",
         f"it counts 4 tasklets and 3 are here; tasklet 0 has finished. {EQUALLY_OFTEN}"),
        "finished: 0",
    ],
    LOCK_TWICE: [
        ("tasklet 0 waits for mutex 'red'", "# second",
         "it holds it itself, and a mutex is not recursive. Unlock it before locking it again"),
        ("tasklets 1-3 wait for mutex 'red'", "# first",
         "tasklet 0 holds it and locks it again elsewhere. Unlock it before"),
    ],
    TOO_FEW: [
        ("tasklet 0 waits for barrier 'pair'", "# alone",
         f"it counts 2 tasklets and 1 is here; tasklets 1-3 have finished. {EQUALLY_OFTEN}"),
        "finished: 1-3",
    ],
    ALL_NOTIFY: [
        ("tasklets 0-3 wait for a tasklet that waits for its notification", "# all",
         f"no other tasklet is there to listen. {PAIRING}"),
    ],
}  # fmt: skip
NAMES = ["cross", "itself", "lock and meet", "two barriers", "ring", "short", "one round more", "lock twice", "too few",
         "all notify"]  # fmt: skip


@pytest.fixture(scope="module")
def reasoning(machine, engine_options):
    with DpuSet(1, machine=machine, options=engine_options) as dpus:
        yield dpus


def shown(wait_line):
    """A line of the report, with the place in the kernel."""
    if isinstance(wait_line, str):
        return f"  {wait_line}"
    who, mark, why = wait_line
    lines, first = inspect.getsourcelines(wait)
    (index,) = (index for index, line in enumerate(lines) if line.rstrip().endswith(mark))
    return f"  {who} at test_deadlock_reasons.py:{first + index} `{lines[index].strip()}`: {why}"


@pytest.mark.parametrize("do", WAITS, ids=NAMES)
def test_the_reason_why_nobody_comes(reasoning, do):
    reasoning.load(program)
    reasoning.what = np.array([do]).view(np.uint8)
    with pytest.raises(DpuFaultError) as caught:
        reasoning.exec()
    (fault,) = caught.value.faults
    head, *lines = fault.text.splitlines()
    assert head == "deadlock: no tasklet can run, and on hardware the DPU would never stop:"
    assert lines == [shown(line) for line in WAITS[do]]
    assert fault.waits[0].tasklets[0] == fault.tasklet
    assert [str(wait) for wait in fault.waits] == [line.strip() for line in lines[: len(fault.waits)]]
