"""Checks what the host does: writes that spoil one another, and reads of what is no result."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import numpy as np

from ..commands import Read, Write
from ..symbols import HEAP_NAME
from .conditions import POISON
from .differences import mram_difference
from .finding import Finding, Kind, SourcePlace
from .remedies import any_order, known_race
from .shadow import WORD_BYTES
from .watched_dpu import WatchedDpu

__all__ = ["check_read", "check_write"]


def check_write(dpus: Sequence[WatchedDpu], command: Write, place: SourcePlace) -> Iterator[Finding]:
    """Findings about a host write, before it is noted: it may overlap an older one, but not by a part of both."""
    new = range(command.address, command.address + command.nbytes)
    for watched in dpus:
        for old in watched.unused.overlapping(command.memory, new):
            both = old.overlaps(command.memory, new)
            if both not in (old.written, new):
                name = watched.names.of(command.memory, both.start)
                text = (
                    f"the host writes at {place} and at {old.place} overlap in {len(both)} bytes from {name.text} on,"
                    " and neither replaces the other: a part of the older one is lost before anybody used it. Check"
                    " offsets and lengths (they are in bytes)"
                )
                yield watched.finding("transfer", name.symbol, (place, old.place), text)


def check_read(
    dpus: Sequence[WatchedDpu], command: Read, what: str, unordered: Collection[str], place: SourcePlace
) -> Iterator[Finding]:
    """Findings about a host read of the symbol `what`; the values of those `unordered` may lie in any order."""
    for watched in dpus:
        tainted = watched.tainted(command)
        if tainted is not None:
            address, origin = tainted
            text = (
                f"the host reads {watched.names.of(command.memory, address).text} at {place}, which depends on"
                f" {origin.name}, loaded at {origin.place}: the value is whatever the memory held. Write it first, or"
                " leave it out"
            )
            yield watched.finding("uninitialised", origin.symbol, (place, origin.place), text)
    if command.memory == "mram" and dpus:
        yield from _check_unwritten(dpus, command, what, place)
        for watched in dpus:
            yield from _check_alternatives(watched, command, unordered, place)


def _check_alternatives(
    watched: WatchedDpu, command: Read, unordered: Collection[str], place: SourcePlace
) -> Iterator[Finding]:
    """The first word that would be another in another order of tasklets, and with other undefined values."""
    told: set[Kind] = set()
    for conditions, alternative in watched.alternatives.items():
        kind: Kind = "order" if conditions.poison == POISON else "uninitialised"
        if kind in told:
            continue
        for index in alternative.differing(command.address, command.nbytes).tolist():
            difference = mram_difference(watched.binary, watched.names, watched.shadow, alternative, index)
            symbol = difference.name.symbol
            if kind == "order" and symbol in unordered:
                continue
            told.add(kind)
            text = f"the host reads at {place} what {{}}: {difference} {conditions.contrast}"
            if kind == "order":
                race = known_race(alternative.races, symbol)
                text = text.format("depends on the order of tasklets") + (
                    f"{race}. Order what the tasklets do by a barrier or a mutex; {conditions.order.repeat} repeats"
                    f" this order; {any_order(symbol)}"
                )
            else:
                text = text.format("depends on uninitialised values that are used")
            yield watched.finding(kind, symbol, (place, *difference.places), text)
            break


def _check_unwritten(dpus: Sequence[WatchedDpu], command: Read, what: str, place: SourcePlace) -> Iterator[Finding]:
    """What no DPU has ever written. All DPUs send equally much, so some have padding where others have results; and the
    heap has no elements, so a part of it that is left out may be padding, too."""
    unwritten = np.logical_and.reduce([watched.unwritten_words(command) for watched in dpus])
    if not unwritten.any() or (what == HEAP_NAME and not unwritten.all()):
        return
    nr_bytes = WORD_BYTES * int(unwritten.sum())
    for watched in dpus:
        name = watched.names.of("mram", command.address + WORD_BYTES * int(unwritten.argmax()))
        text = (
            f"the host reads {command.nbytes} bytes of {what!r} at {place}, of which {nr_bytes} were never written by"
            f" host or kernel, the first at {name.text}: on hardware they hold what another program left. Read less,"
            " or let the kernel write them"
        )
        yield watched.finding("uninitialised", name.symbol, (place,), text)
