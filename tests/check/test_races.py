"""Races: what orders two accesses and what does not, and how they are told."""

from __future__ import annotations

import inspect

import pytest

from pim_runtime import DpuProgram
from pim_runtime.device import (
    barrier_wait,
    handshake_notify,
    handshake_wait_for,
    int8,
    int64,
    me,
    mem_alloc,
    mem_reset,
    mram_read,
    mram_write,
    mutex_lock,
    mutex_trylock,
    mutex_unlock,
    sem_give,
    sem_take,
)

pytestmark = pytest.mark.quick

NOTHING, BARRIER, HANDSHAKE, SEMAPHORE, MUTEX, TRYLOCK = range(6)

passing = DpuProgram("passing", nr_tasklets=3)
way = passing.host("way", int64)
message = passing.wram("message", int64)
copied = passing.host("copied", int64)
everyone = passing.barrier("everyone")
filled = passing.semaphore("filled", 0)
lock = passing.mutex("lock")


@passing.kernel
def pass_on(t):
    """Tasklet 0 writes a message, tasklet 2 reads it."""
    how = way.load(t)
    if me(t) == 0:
        if how == MUTEX:
            yield mutex_lock(t, lock)
        elif how == TRYLOCK:
            mutex_trylock(t, lock)
        message.store(t, 7)  # written
        if how >= MUTEX:
            mutex_unlock(t, lock)
        elif how == SEMAPHORE:
            sem_give(t, filled)
        elif how == HANDSHAKE:
            yield handshake_notify(t)
    elif me(t) == 2:
        if how == HANDSHAKE:
            yield handshake_wait_for(t, 0)
        elif how == SEMAPHORE:
            yield sem_take(t, filled)
    if how == BARRIER:
        yield barrier_wait(t, everyone)
    if me(t) == 2:
        if how == MUTEX:
            yield mutex_lock(t, lock)
        elif how == TRYLOCK:
            if mutex_trylock(t, lock):
                message.store(t, message.load(t))
                mutex_unlock(t, lock)
            return
        copied.store(t, message.load(t))  # read
        if how == MUTEX:
            mutex_unlock(t, lock)


def line_of(text):
    lines, first = inspect.getsourcelines(pass_on)
    (found,) = [first + index for index, line in enumerate(lines) if text in line]
    return found


@pytest.mark.parametrize("how", [BARRIER, HANDSHAKE, SEMAPHORE, TRYLOCK])
def test_synchronisation_orders_accesses(checked, how):
    assert checked(passing, {"way": how}) == []


def test_a_mutex_orders_accesses_but_not_who_comes_first(kinds):
    assert kinds(passing, {"way": MUTEX}) == [("order", "copied")]


def test_both_sides_of_a_race_are_named(checked):
    race, order = checked(passing, {"way": NOTHING})
    assert (race.kind, race.symbol, race.program, race.tasklets, race.phase) == (
        "race",
        "message",
        "passing",
        (0, 2),
        0,
    )
    assert [(place.filename, place.line) for place in race.places] == [
        (__file__, line_of("# written")),
        (__file__, line_of("# read")),
    ]
    assert (
        f"tasklet 0 writes message (WRAM {message.address:#x}) at test_races.py:{line_of('# written')} `" in race.text
    )
    assert "Put a barrier or a handshake between them, or do both under one mutex" in race.text
    assert order.kind == "order"
    assert "which the race on 'message' explains" in order.text


apart = DpuProgram("apart", nr_tasklets=4)
step = apart.host("step", int64)
value_step = apart.host("value_step", int64)
flag_reads = apart.host("flag_reads", int64)
small = apart.wram("small", int8, 16)
written = apart.barrier("written")


@apart.kernel
def write_apart(t):
    if (me(t) == 3) & (flag_reads.load(t) == 1):
        small.array(t)[8] = small.array(t)[0] & 0
    else:
        small.array(t)[step.load(t) * me(t)] = 1 + value_step.load(t) * me(t)
    yield barrier_wait(t, written)
    small.array(t)[8 + me(t)] = small.array(t)[0] & 0


def test_neighbouring_bytes_do_not_race(checked):
    assert checked(apart, {"step": 1}) == []


def test_stores_of_the_same_value_do_not_race_but_loads_do(kinds):
    assert kinds(apart, {"step": 0}) == []
    assert ("race", "small") in kinds(apart, {"step": 0, "value_step": 1})
    assert ("race", "small") in kinds(apart, {"step": 0, "flag_reads": 1})


handing = DpuProgram("handing", nr_tasklets=3)
waits_for = handing.host("waits_for", int64)
flag = handing.wram("flag", int64)
seen = handing.host("seen", int64)
both = handing.semaphore("both", 0)


@handing.kernel
def hand_over(t):
    """Tasklets 0 and 1 set a flag; tasklet 2 reads it after one of them or after both."""
    if me(t) < 2:
        flag.store(t, 1)
        if me(t) < waits_for.load(t):
            sem_give(t, both)
    else:
        for _ in range(waits_for.load(t)):
            yield sem_take(t, both)
        seen.store(t, flag.load(t))


def test_a_load_must_come_after_every_store_of_the_same_value(kinds):
    assert kinds(handing, {"waits_for": 2}) == []
    assert kinds(handing, {"waits_for": 1}) == [("race", "flag")]


blocks = DpuProgram("blocks", nr_tasklets=2)
distance = blocks.host("distance", int64)
source = blocks.mram("source", int64, 8)
target = blocks.mram_noinit("target", int64, 8)
ready = blocks.barrier("ready")


@blocks.kernel
def move(t):
    """Every tasklet copies 16 bytes from `source` to `target`, `distance` bytes apart."""
    if me(t) == 0:
        mem_reset(t)
    yield barrier_wait(t, ready)
    block = mem_alloc(t, int64, 2)
    mram_read(t, source.address, block, 16)
    mram_write(t, block, target.address + distance.load(t) * me(t), 16)


def test_dma_races_by_the_word(kinds):
    assert kinds(blocks, {"distance": 16}) == []
    assert kinds(blocks, {"distance": 8}) == [("race", "target")]


reuse = DpuProgram("reuse", nr_tasklets=2)
again = reuse.host("again", int64)


@reuse.kernel
def allocate(t):
    """Each tasklet takes heap memory; with `again`, each gives all of it back before, also the other's."""
    if again.load(t) == 1:
        mem_reset(t)
    block = mem_alloc(t, int64, 1)
    block[0] = me(t)


def test_mem_alloc_is_locked_inside_but_mem_reset_takes_memory_from_others(kinds):
    assert kinds(reuse, {"again": 0}) == []
    assert kinds(reuse, {"again": 1}) == [("race", "WRAM heap")]
