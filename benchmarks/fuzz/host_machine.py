"""The host API under random use, against its model: a state machine for hypothesis.

Every step calls the API once, with good or bad arguments. Where the model says that it must work, data and timeline
must be the model's; where not, the error must be one that the model names, and nothing may have moved. Whatever else
is raised ends the run.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

from hypothesis import strategies as st
from hypothesis.stateful import (
    rule,
)

from pim_runtime.api import (
    DpuXfer,
    DpuXferFlags,
    dpu_broadcast_to,
    dpu_copy_from,
    dpu_copy_to,
    dpu_get_symbol,
    dpu_prepare_xfer,
    dpu_push_xfer,
)
from pim_runtime.errors import (
    ArgumentError,
    InvalidBufferSizeError,
    InvalidDpuSetError,
    InvalidMemoryTransferError,
    InvalidParallelMemoryTransferError,
    UnknownSymbolError,
)

from .host_buffers import ROWS, SINGLE, Buffer, HostSide
from .host_model import MRAM_BYTES, Place, Program
from .host_sets import HostSets
from .host_world import HARDWARE, HEAP, PROGRAMS, Handle

__all__ = ["HostApi"]

NAMES = ("number", "mode", "pair", "odd", "rows", "start", "value", "table", HEAP, "nope", "")


class Where(NamedTuple):
    """Bytes of a symbol: by name, or (program, name) for a DpuSymbol of that program whatever is loaded."""

    symbol: Any
    offset: int
    nbytes: int


GOOD_PLACES = (
    Where("rows", 0, 16), Where("rows", 0, 128), Where("rows", 8, 8), Where("rows", 120, 8), Where("pair", 0, 16),
    Where("pair", 12, 4), Where("number", 0, 4), Where("start", 8, 8), Where("mode", 0, 4), Where("value", 0, 8),
    Where("value", 4, 4), Where("table", 0, 80), Where("table", 72, 8), Where(HEAP, 8, 24), Where("rows", 128, 0),
)  # fmt: skip
WHERE = st.one_of(
    st.sampled_from(GOOD_PLACES),
    st.sampled_from(GOOD_PLACES),
    st.builds(
        Where,
        st.one_of(
            st.sampled_from(NAMES),
            st.tuples(st.sampled_from(tuple(PROGRAMS)), st.sampled_from(("rows", "table", HEAP))),
        ),
        st.sampled_from((0, 0, 8, 4, 16, 64, 120, 1, -8, 128, 1 << 31, MRAM_BYTES - 8)),
        st.sampled_from((8, 8, 16, 4, 24, 0, 1, 12, 128, 136, 1 << 32, -8)),
    ),
)
SURPLUS = st.sampled_from((0, 0, 0, 0, 0, 0, 8, 3, -4))
FILLS = st.integers(0, 255)
SINGLES = st.builds(Buffer, st.sampled_from((*SINGLE, *("bytearray", "uint8", "memoryview") * 5)), SURPLUS, FILLS)
MANY = st.builds(Buffer, st.sampled_from((*ROWS, *("matrix", "list", "holes") * 5)), SURPLUS, FILLS)
MATRICES = st.builds(Buffer, st.just("matrix"), st.just(0), FILLS)
FLAGS = st.sampled_from([DpuXferFlags(bits) for bits in (0, 0, 0, 0, 0, 1, 1, 1, 2, 4, 5)])


class HostApi(HostSets):
    """Sets of a small machine, and what moves between them and the host."""

    handles = HostSets.handles

    def move(
        self, handle: Handle, side: HostSide, place: Place | set[type[Exception]], errors: set[type[Exception]],
        mode: str, call: Callable[[], Any],
    ) -> bool:  # fmt: skip
        """One transfer: call it, and compare data and timeline. `errors` are the host's own. True when it was done."""
        part, reads = handle.part, mode in ("pull", "serial_from")
        due = errors | (set() if isinstance(place, Place) else place)
        rows = side.rows if len(side.rows) == len(part) else side.rows * len(part)
        before = [None if row is None else row.copy() for row in rows]
        self.expect(due, call)
        if isinstance(place, Place) and not due:
            for cells, row, old in zip(part.cells(place), rows, before, strict=True):
                if row is not None and old is not None:
                    if reads:
                        old[: place.nbytes] = cells
                    else:
                        cells[:] = row[: place.nbytes]
            part.transferred("read" if reads else "write", mode, place, [row is not None for row in rows])
        for row, old in zip(rows, before, strict=True):
            assert (row is None and old is None) or bytes(row) == bytes(old), f"host has {bytes(row)}, not {bytes(old)}"
        self.same_timeline(handle)
        return not due

    @rule(handle=handles, where=WHERE, buffer=SINGLES, says_length=st.booleans())
    def copy_to(self, handle: Handle, where: Where, buffer: Buffer, says_length: bool) -> None:
        mode = "serial_to" if len(handle.part) == 1 else "broadcast"
        self.to_all(handle, where, buffer, says_length, mode, dpu_copy_to)

    @rule(handle=handles, where=WHERE, buffer=SINGLES, says_length=st.booleans(), flags=FLAGS)
    def broadcast(self, handle: Handle, where: Where, buffer: Buffer, says_length: bool, flags: DpuXferFlags) -> None:
        call = lambda *arguments: dpu_broadcast_to(*arguments, flags)  # noqa: E731
        self.to_all(handle, where, buffer, says_length, "broadcast", call, _of_flags(flags))

    def to_all(
        self, handle: Handle, where: Where, buffer: Buffer, says_length: bool, mode: str,
        function: Callable[..., None], errors: frozenset[type[Exception]] = frozenset(),
    ) -> None:  # fmt: skip
        side, (given, known) = buffer.made(1, where.nbytes), self.symbol(where.symbol)
        length = where.nbytes if says_length else None
        place, short = self.place(handle, known, where, side, length)
        call = lambda: function(handle.dpus, given, where.offset, side.object, length)  # noqa: E731
        self.move(handle, side, place, set(errors | side.to_dpu | short), mode, call)

    @rule(handle=handles, where=WHERE, buffer=SINGLES, says_length=st.booleans())
    def copy_from(self, handle: Handle, where: Where, buffer: Buffer, says_length: bool) -> None:
        side, (given, known) = buffer.made(1, where.nbytes), self.symbol(where.symbol)
        length = where.nbytes if says_length else None
        place, short = self.place(handle, known, where, side, length)
        due = set(side.from_dpu | short)
        if handle.part.kind != "dpu":
            due.add(InvalidDpuSetError)
        call = lambda: dpu_copy_from(handle.dpus, given, where.offset, side.object, length)  # noqa: E731
        self.move(handle, side, place, due, "serial_from", call)

    @staticmethod
    def place(
        handle: Handle, symbol: Any, where: Where, side: HostSide, length: int | None
    ) -> tuple[Place | set[type[Exception]], frozenset[type[Exception]]]:
        """Where one buffer goes, and what its size raises; None takes all of it."""
        nbytes = (side.nbytes or 0) if length is None else length
        short = frozenset({InvalidBufferSizeError} if nbytes > (side.nbytes or 0) else ())
        return handle.part.resolve(symbol, where.offset, nbytes), short

    @rule(handle=handles, buffer=st.one_of(SINGLES, MATRICES, MATRICES), nbytes=st.sampled_from((8, 16, 16, 128, 4)))
    def prepare(self, handle: Handle, buffer: Buffer, nbytes: int) -> None:
        part, side = handle.part, buffer.made(len(handle.part), nbytes)
        due = set(side.to_dpu) if buffer.kind != "None" else set()
        if not part.allocation.alive:
            due.add(InvalidDpuSetError)
        self.expect(due, lambda: dpu_prepare_xfer(handle.dpus, side.object))
        if not due:
            rows: list[Any] = side.rows if not side.single else side.rows * len(part)
            rows = [None] * len(part) if buffer.kind == "None" else rows
            part.allocation.prepared[part.dpus.start : part.dpus.stop] = rows

    @rule(handle=handles, xfer=st.sampled_from((*DpuXfer, *DpuXfer, *DpuXfer, 2, None)), where=WHERE, flags=FLAGS)
    def push(self, handle: Handle, xfer: Any, where: Where, flags: DpuXferFlags) -> None:
        """Transfer what was prepared, by this set or by any other over the same DPUs."""
        part, (given, known), (_, offset, length) = handle.part, self.symbol(where.symbol), where
        prepared = part.allocation.prepared[part.dpus.start : part.dpus.stop]
        buffers = [row for row in prepared if row is not None]
        due = set(_of_flags(flags))
        if xfer not in tuple(DpuXfer):
            due.add(InvalidMemoryTransferError)
        if buffers and min(map(len, buffers)) < length:
            due.add(InvalidBufferSizeError)
        reads = xfer == DpuXfer.DPU_XFER_FROM_DPU
        if reads and (any(not row.flags.writeable for row in buffers) or _overlap(buffers, length)):
            due.add(InvalidMemoryTransferError)
        side, place = HostSide(None, list(prepared)), part.resolve(known, offset, length)
        call = lambda: dpu_push_xfer(handle.dpus, xfer, given, offset, length, flags)  # noqa: E731
        done = self.move(handle, side, place, due, "pull" if reads else "push", call)
        if done and not flags & DpuXferFlags.DPU_XFER_NO_RESET:
            part.allocation.prepared[part.dpus.start : part.dpus.stop] = [None] * len(part)

    @rule(
        handle=handles, where=WHERE, buffer=st.one_of(SINGLES, MANY, MANY), says_size=st.booleans(), reads=st.booleans()
    )
    def copy(self, handle: Handle, where: Where, buffer: Buffer, says_size: bool, reads: bool) -> None:
        """Python's `copy`, in both directions."""
        part, (given, known), offset = handle.part, self.symbol(where.symbol), where.offset
        side, size = buffer.made(len(part), where.nbytes), where.nbytes if says_size else None
        available = side.nbytes if side.nbytes is not None else (1 << 32) - 1
        nbytes = available if size is None else size
        due = set(side.from_dpu if reads else side.to_dpu)
        if side.itemsize > 1:
            due.add(ArgumentError)
        if reads and side.single and len(part) > 1:
            due.add(ArgumentError)
        if nbytes > available:
            due.add(ArgumentError)
        place = part.resolve(known, offset, nbytes)
        mode = "pull" if reads else "broadcast" if side.single and len(part) > 1 else "push"
        sides = (side.object, given) if reads else (given, side.object)
        self.move(handle, side, place, due, mode, lambda: handle.dpus.copy(*sides, size=size, offset=offset))

    @rule(handle=handles, sides=st.sampled_from((("number", "pair"), (b"1234", b"1234"), (None, 5), ("rows", "rows"))))
    def copy_between_what_is_no_pair(self, handle: Handle, sides: tuple[Any, Any]) -> None:
        self.expect({ArgumentError}, lambda: handle.dpus.copy(*sides))
        self.same_timeline(handle)

    @rule(
        handle=handles, function=st.sampled_from(("to", "broadcast", "copy")),
        offset=st.sampled_from(("8", None, 2.5, [8])), size=st.sampled_from((8, "8", 2.5, [8])),
    )  # fmt: skip
    def transfer_with_wrong_types(self, handle: Handle, function: str, offset: Any, size: Any) -> None:
        call: Callable[[], Any] = {
            "to": lambda: dpu_copy_to(handle.dpus, "rows", offset, bytes(16), size),
            "broadcast": lambda: dpu_broadcast_to(handle.dpus, "rows", offset, bytes(16), size),
            "copy": lambda: handle.dpus.copy("rows", bytes(16), size=size, offset=offset),
        }[function]
        self.expect({ArgumentError} | (set() if handle.part.allocation.alive else {InvalidDpuSetError}), call)
        self.same_timeline(handle)

    # symbols

    @rule(handle=handles, name=st.sampled_from(("number", "pair", "odd", "rows", "start", "value", "table", "nope")))
    def read_attribute(self, handle: Handle, name: str) -> None:
        part, program = handle.part, handle.part.common_program()
        if not isinstance(program, Program) or name not in program.symbols:
            self.expect({AttributeError}, lambda: getattr(handle.dpus, name))
            return self.same_timeline(handle)
        place = part.resolve(name, 0, program.symbols[name].nbytes)
        if not isinstance(place, Place):
            self.expect(place, lambda: getattr(handle.dpus, name))
            return self.same_timeline(handle)
        data = getattr(handle.dpus, name).data()
        part.transferred("read", "pull", place, [True] * len(part))
        expected = [bytes(cells) for cells in part.cells(place)]
        assert [bytes(view) for view in (data if len(part) > 1 else [data])] == expected
        return self.same_timeline(handle)

    @rule(
        handle=handles,
        name=st.sampled_from(("number", "pair", "odd", "rows", "value")),
        buffer=st.one_of(SINGLES, MANY),
        nbytes=st.sampled_from((8, 4, 16, 3)),
    )
    def write_attribute(self, handle: Handle, name: str, buffer: Buffer, nbytes: int) -> None:
        program = handle.part.common_program()
        if isinstance(program, Program) and name in program.symbols:
            side = buffer.made(len(handle.part), nbytes)
            nbytes = side.nbytes if side.nbytes is not None else (1 << 32) - 1
            due = set(side.to_dpu) | ({ArgumentError} if side.itemsize > 1 else set())
            mode = "broadcast" if side.single and len(handle.part) > 1 else "push"
            place = handle.part.resolve(name, 0, nbytes)
            self.move(handle, side, place, due, mode, lambda: setattr(handle.dpus, name, side.object))

    @rule(name=st.sampled_from(NAMES), program=st.sampled_from(tuple(PROGRAMS)))
    def get_symbol(self, name: str, program: str) -> None:
        binary = PROGRAMS[program].build(HARDWARE)
        self.expect(set() if name in binary.symbols else {UnknownSymbolError}, lambda: dpu_get_symbol(binary, name))


def _of_flags(flags: DpuXferFlags) -> frozenset[type[Exception]]:
    """What flags that need a queue raise."""
    due: set[type[Exception]] = set()
    if flags & DpuXferFlags.DPU_XFER_ASYNC:
        due.add(ArgumentError)
    if flags & DpuXferFlags.DPU_XFER_PARALLEL:
        due.add(InvalidParallelMemoryTransferError)
    return frozenset(due)


def _overlap(buffers: list[Any], nbytes: int) -> bool:
    """Whether two DPUs would fill the same bytes."""
    starts = sorted(row.ctypes.data for row in buffers)
    return nbytes > 0 and any(after - before < nbytes for before, after in itertools.pairwise(starts))
