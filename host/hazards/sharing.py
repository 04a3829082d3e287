"""Programs that run through and are wrong: races, undefined memory, misused mutexes. Checked sets report them."""

from __future__ import annotations

from functools import partial
from typing import Literal

import numpy as np

from dpu_kernels.hazards.wrong_sharing import Share, share, sharing, small_stacks, stack_up
from pim_runtime import Check, DpuSet

from .hazard import Group, Hazard, Variant
from .places import line_with
from .stage import Stage

__all__ = ["HAZARDS"]

CHECK = Check(dpus=1, orders=4)
Before = Literal["write MRAM", "leave MRAM"]


def _checked(stage: Stage, variant: Variant, what: Share) -> DpuSet:
    dpus = stage.allocate(2, sharing, check=CHECK)
    dpus.copy("what", np.full((2, 1), what, np.int64))
    dpus.copy("mend", np.full((2, 1), variant == "mended", np.int64))
    dpus.copy("given", np.arange(128).reshape(2, 64))
    return dpus


def _run(stage: Stage, variant: Variant, *, what: Share, launches: int = 1) -> None:
    dpus = _checked(stage, variant, what)
    for _ in range(launches):
        dpus.exec()


def _use_fresh_mram(stage: Stage, variant: Variant) -> None:
    dpus = _checked(stage, variant, Share.FRESH_MRAM)
    if variant == "mended":
        dpus.copy("elements", np.zeros((2, 64), np.int64))
    dpus.exec()


def _read_what_nobody_wrote(stage: Stage, variant: Variant) -> None:
    dpus = _checked(stage, variant, Share.READ_BEFORE_WRITTEN)
    dpus.exec()
    results = np.zeros((2, 8), np.int64)
    dpus.copy(results, "elements")  # planted: elements that nobody wrote


def _stack_up(stage: Stage, variant: Variant) -> None:
    dpus = stage.allocate(2, small_stacks, check=CHECK)
    dpus.copy("depth", np.full((2, 1), variant == "planted", np.int64))
    dpus.exec()


def _overlapping_rows(stage: Stage, variant: Variant) -> None:
    dpus = _checked(stage, variant, Share.READ_BEFORE_WRITTEN)
    rows = np.ones((2, 16), np.int64)
    dpus.copy("elements", rows)
    dpus.copy("elements", rows, offset=120 if variant == "planted" else 128)  # planted: 8 bytes too early
    dpus.exec()


def _share(name: str, group: Group, kind: str, what: Share, at: str, says: str, *, launches: int = 1) -> Hazard:
    run = partial(_run, what=what, launches=launches)
    return Hazard(name=name, group=group, run=run, reported_as=kind, says=says, at=line_with(at, share))


RACES = (
    _share("sum without a mutex", "races", "race", Share.ADD_UP, "# without the lock", "total"),
    _share("neighbour's slot without a barrier", "races", "race", Share.NEIGHBOUR, "# the neighbour's", "slots"),
    _share("DMA into a buffer of all tasklets", "races", "race", Share.SHARED_BUFFER, "# into the buffer", "buffer"),
    _share("all tasklets to one word of MRAM", "races", "race", Share.SAME_WORD, "# all to one word", "elements"),
    _share("one variable under two mutexes", "races", "race", Share.TWO_LOCKS, "# under one of two locks", "total"),
)
UNDEFINED = (
    _share("fresh heap", "undefined memory", "uninitialised", Share.FRESH_HEAP, "# of fresh heap", "mem_alloc"),
    _share("heap after mem_reset", "undefined memory", "uninitialised", Share.RELEASED_HEAP, "# of released", "heap"),
    _share("store through a null pointer", "undefined memory", "runtime words", Share.NULL_POINTER, "# through a null",
           "0x0"),
    _share("local variable that is not assigned", "undefined memory", "uninitialised", Share.UNASSIGNED,
           "# what only some", "'found'"),
    Hazard(name="MRAM that nobody wrote", group="undefined memory", run=_use_fresh_mram, reported_as="uninitialised",
           says="elements", at=line_with("# of fresh MRAM", share)),
    Hazard.of_host("results that nobody wrote", "undefined memory", _read_what_nobody_wrote, "uninitialised",
                   "elements"),
)  # fmt: skip
OTHERS = (
    _share("last tasklet wins", "tasklet order", "order", Share.LAST_ONE_WINS, "largest.store(t, i)", "largest"),
    _share("unlock for another tasklet", "mutexes", "mutex", Share.UNLOCK_FOR_ANOTHER, "# of tasklet 0", "tasklet 0"),
    _share("unlock of a free mutex", "mutexes", "mutex", Share.UNLOCK_FREE, "# which nobody holds", "nobody"),
    _share("mutex held at the end", "mutexes", "mutex", Share.KEEP_LOCK, "# and never releases it", "lock"),
    Hazard(name="stack too small for a helper", group="stacks", run=_stack_up, reported_as="stack", says="64 bytes",
           at=line_with("# too deep", stack_up)),
    _share("sum that goes on from the last launch", "leftovers", "leftover", Share.CARRY_ON, "# on what is there",
           "total", launches=2),
    _share("MRAM that the last launch changed", "leftovers", "leftover", Share.CARRY_ON_IN_MRAM, "# on what MRAM holds",
           "given", launches=2),
    Hazard.of_host("host writes that overlap by a row", "transfers", _overlapping_rows, "transfer", "overlap"),
)  # fmt: skip

HAZARDS = (*RACES, *UNDEFINED, *OTHERS)
