"""The host API under random use, against its model: a state machine for hypothesis.

Every step calls the API once, with good or bad arguments. Where the model says that it must work, data and timeline must
be the model's; where not, the error must be one that the model names, and nothing may have moved. Whatever else is
raised ends the run.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, precondition, rule

from pim_runtime import DpuFaultError, DpuSet, DpuSymbol, EngineOptions, Machine, load_profile
from pim_runtime.api import (
    DpuLaunchPolicy,
    DpuXfer,
    DpuXferFlags,
    dpu_alloc,
    dpu_alloc_ranks,
    dpu_broadcast_to,
    dpu_copy_from,
    dpu_copy_to,
    dpu_free,
    dpu_get_nr_dpus,
    dpu_get_nr_ranks,
    dpu_get_symbol,
    dpu_launch,
    dpu_load,
    dpu_log_read,
    dpu_prepare_xfer,
    dpu_push_xfer,
    dpu_sync,
)
from pim_runtime.dpuset import ALLOCATE_ALL
from pim_runtime.errors import (
    AllocationError,
    ArgumentError,
    DpuError,
    InvalidBufferSizeError,
    InvalidDpuSetError,
    InvalidLaunchPolicyError,
    InvalidMemoryTransferError,
    InvalidParallelMemoryTransferError,
    InvalidProfileError,
    InvalidSymbolAccessError,
    LinkError,
    NoProgramLoadedError,
    UnknownSymbolError,
)

from .host_buffers import ROWS, SINGLE, Buffer, HostSide
from .host_model import MRAM_BYTES, Allocation, Dpu, Part, Place, Program, Symbol
from .host_programs import DEADLOCK, HALT, WRONG_INDEX, silent, talking

__all__ = ["HostApi"]

RANKS, DPUS_PER_RANK = 3, 4
WHOLE = load_profile("upmem-v1a")
HARDWARE = replace(WHOLE, geometry=replace(WHOLE.geometry, ranks=RANKS, chips_per_rank=2, dpus_per_chip=2))
PROGRAMS = {"talking": talking, "silent": silent}
HEAP = "__sys_used_mram_end"
MRAM_BASE = 0x0800_0000

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
USUAL_PROGRAMS = st.sampled_from(("talking", "talking", "silent"))
SURPLUS = st.sampled_from((0, 0, 0, 0, 0, 0, 8, 3, -4))
FILLS = st.integers(0, 255)
SINGLES = st.builds(Buffer, st.sampled_from((*SINGLE, *("bytearray", "uint8", "memoryview") * 5)), SURPLUS, FILLS)
MANY = st.builds(Buffer, st.sampled_from((*ROWS, *("matrix", "list", "holes") * 5)), SURPLUS, FILLS)
MATRICES = st.builds(Buffer, st.just("matrix"), st.just(0), FILLS)
FLAGS = st.sampled_from([DpuXferFlags(bits) for bits in (0, 0, 0, 0, 0, 1, 1, 1, 2, 4, 5)])


class Handle:
    """A set of the API and what the model has for it."""

    def __init__(self, name: str, dpus: DpuSet, part: Part) -> None:
        self.name, self.dpus, self.part = name, dpus, part

    def __repr__(self) -> str:
        return self.name


class HostApi(RuleBasedStateMachine):
    """Sets of a small machine: three ranks of four DPUs."""

    engines: ClassVar[tuple[Literal["compiled", "interpreted"], ...]] = ("interpreted",)  # of the sets in turn
    handles = Bundle("handles")
    tops = Bundle("tops")

    def __init__(self) -> None:
        super().__init__()
        self.machine = Machine(HARDWARE)
        self.allocations: list[Handle] = []
        self.programs: dict[Any, Program] = {}

    @property
    def options(self) -> EngineOptions:
        """For the next allocation."""
        return EngineOptions(engine=self.engines[len(self.allocations) % len(self.engines)], timing="off", threads=1)

    @invariant()
    def ranks_are_the_models(self) -> None:
        assert self.machine.free_ranks == self.free_ranks

    def teardown(self) -> None:
        for handle in self.allocations:
            if handle.part.allocation.alive:
                handle.dpus.free()

    # what is expected

    def expect(self, errors: set[type[Exception]] | frozenset[type[Exception]], call: Callable[[], Any]) -> Any:
        """Call; it must raise one of `errors`, or nothing where there are none."""
        try:
            result = call()
        except Exception as error:
            if type(error) in errors:
                return None
            raise
        assert not errors, f"nothing was raised, but one of {sorted(each.__name__ for each in errors)} is due"
        return result

    def same_timeline(self, handle: Handle) -> None:
        """The rows of the timeline are the model's."""
        rows, found = handle.part.allocation.rows, handle.dpus.timeline.rows
        assert len(found) == len(rows), f"the timeline has {len(found)} rows, the model {len(rows)}: {found[-2:]}"
        for row, expected in zip(found[-3:], rows[-3:], strict=True):
            seen = (row.operation, row.mode, row.what, row.first_dpu, row.nr_dpus, row.nbytes, row.transfers)
            assert seen == expected

    def symbol(self, symbol: str | tuple[str, str]) -> tuple[str | DpuSymbol, str | tuple[str, Symbol]]:
        """A symbol for the API, and for the model."""
        if isinstance(symbol, str):
            return symbol, symbol
        program, name = symbol
        name = name if name in self.known(program, None).symbols else HEAP
        binary = PROGRAMS[program].build(HARDWARE)
        return dpu_get_symbol(binary, name), (name, self.known(program, None).symbols[name])

    def known(self, name: str, nr_tasklets: int | None) -> Program:
        """The model's program for one of ours, with the addresses that the API gives."""
        binary = PROGRAMS[name].build(HARDWARE, nr_tasklets=nr_tasklets)
        if binary not in self.programs:
            symbols = {}
            for symbol in binary.symbols:
                found = dpu_get_symbol(binary, symbol)
                memory = "mram" if found.value() >= MRAM_BASE else "wram"
                symbols[symbol] = Symbol(memory, found.value() % MRAM_BASE, found.size())
            self.programs[binary] = Program(name, binary.nr_tasklets, symbols)
        return self.programs[binary]

    # allocation

    def allocated(self, nr_dpus: int, errors: set[type[Exception]], call: Callable[[], DpuSet]) -> Any:
        dpus = self.expect(errors, call)
        if dpus is None:
            return multiple()
        part = Part(Allocation([Dpu() for _ in range(nr_dpus)], DPUS_PER_RANK), range(nr_dpus), "set")
        assert dpu_get_nr_dpus(dpus) == len(dpus) == nr_dpus
        assert dpu_get_nr_ranks(dpus) == part.nr_ranks
        handle = Handle(f"set_{len(self.allocations)}", dpus, part)
        self.allocations.append(handle)
        return handle

    @property
    def free_ranks(self) -> int:
        """Ranks that no living set holds."""
        return RANKS - sum(handle.part.nr_ranks for handle in self.allocations if handle.part.allocation.alive)

    @initialize(target=handles, program=USUAL_PROGRAMS)
    def begin(self, program: str) -> Any:
        """Sets that work, so that few steps are lost on a machine without."""
        top = self.alloc_and_load(program, 6, "")
        return multiple(top, self.child(top, 0, "rank"), self.child(top, 1, "rank"), self.child(top, 2, "dpu"))

    @rule(target=tops, nr_dpus=st.sampled_from((1, 2, 3, 4, 5, 8, 12, 13, 0, -1, None, ALLOCATE_ALL, "4", 2.5)))
    def alloc(self, nr_dpus: Any) -> Any:
        options = {"machine": self.machine, "options": self.options}
        if isinstance(nr_dpus, str | float):
            return self.allocated(0, {ArgumentError}, lambda: dpu_alloc(nr_dpus, **options))
        all_free = nr_dpus in (None, ALLOCATE_ALL)
        wanted = self.free_ranks * DPUS_PER_RANK if all_free else nr_dpus
        enough = 0 < wanted <= self.free_ranks * DPUS_PER_RANK
        call = (lambda: DpuSet(**options)) if nr_dpus is None else (lambda: dpu_alloc(nr_dpus, **options))
        return self.allocated(wanted, set() if enough else {AllocationError}, call)

    @rule(target=tops, nr_ranks=st.sampled_from((1, 1, 2, 3, 4, 0, -1)))
    def alloc_ranks(self, nr_ranks: int) -> Any:
        errors = set() if 0 < nr_ranks <= self.free_ranks else {AllocationError}
        call = lambda: dpu_alloc_ranks(nr_ranks, machine=self.machine, options=self.options)  # noqa: E731
        return self.allocated(nr_ranks * DPUS_PER_RANK, errors, call)

    @rule(
        target=tops, program=USUAL_PROGRAMS, nr_dpus=st.sampled_from((1, 2, 4, 6)),
        wrong=st.sampled_from(("", "", "", "both", "profile", "log")),
    )  # fmt: skip
    def alloc_and_load(self, program: str, nr_dpus: int, wrong: str) -> Any:
        options: dict[str, Any] = {"machine": self.machine, "options": self.options, "binary": PROGRAMS[program]}
        errors: set[type[Exception]] = set() if nr_dpus <= self.free_ranks * DPUS_PER_RANK else {AllocationError}
        if wrong == "both":
            options["nr_ranks"], errors = 1, {ArgumentError}
        elif wrong == "profile":
            options["profile"], errors = "backend", {InvalidProfileError}
        elif wrong == "log":
            options["log"], errors = [None] * 3, errors or {ArgumentError}
        handle = self.allocated(nr_dpus, errors, lambda: DpuSet(nr_dpus, **options))
        if isinstance(handle, Handle):
            handle.part.load(self.known(program, None))
            self.same_timeline(handle)
        return handle

    @rule(target=handles, top=tops)
    def use(self, top: Handle) -> Handle:
        return top

    @rule(target=handles, top=tops, index=st.integers(0, 11), kind=st.sampled_from(("rank", "dpu")))
    def child(self, top: Handle, index: int, kind: str) -> Handle:
        children = top.dpus.ranks() if kind == "rank" else list(top.dpus)
        index %= len(children)
        dpus, part = children[index], top.part
        if kind == "dpu":
            inner = part.dpus[index : index + 1]
        else:
            inner = part.dpus[index * DPUS_PER_RANK : (index + 1) * DPUS_PER_RANK]
        assert len(dpus) == len(inner)
        return Handle(f"{top}.{kind}s()[{index}]", dpus, Part(part.allocation, inner, kind))

    @precondition(lambda self: not self.free_ranks)
    @rule(handle=handles, way=st.sampled_from(("C", "Python")))
    def free(self, handle: Handle, way: str) -> None:
        allocation = handle.part.allocation
        errors = {InvalidDpuSetError} if handle.part.kind != "set" or not allocation.alive else set()
        self.expect(errors, (lambda: dpu_free(handle.dpus)) if way == "C" else handle.dpus.free)
        allocation.alive = allocation.alive and bool(errors)

    @precondition(lambda self: not self.free_ranks)
    @rule(top=consumes(tops))
    def free_for_good(self, top: Handle) -> None:
        HostApi.free(self, top, "C")

    @rule(handle=handles)
    def sync(self, handle: Handle) -> None:
        errors = set() if handle.part.allocation.alive else {InvalidDpuSetError}
        self.expect(errors, lambda: dpu_sync(handle.dpus))

    # programs

    @rule(handle=handles, program=USUAL_PROGRAMS, nr_tasklets=st.sampled_from((None, None, None, None, 1, 3, 0, 25)))
    def load(self, handle: Handle, program: str, nr_tasklets: int | None) -> None:
        errors: set[type[Exception]] = set() if handle.part.allocation.alive else {InvalidDpuSetError}
        if nr_tasklets in (0, 25):
            errors.add(LinkError)
        self.expect(errors, lambda: dpu_load(handle.dpus, PROGRAMS[program], nr_tasklets=nr_tasklets))
        if not errors:
            handle.part.load(self.known(program, nr_tasklets))
        self.same_timeline(handle)

    @rule(handle=handles, binary=st.sampled_from((None, 5, "talking", b"ELF")))
    def load_what_is_no_program(self, handle: Handle, binary: Any) -> None:
        self.expect({ArgumentError}, lambda: handle.dpus.load(binary))
        self.same_timeline(handle)

    @rule(handle=handles, mode=st.sampled_from((0, HALT, WRONG_INDEX, DEADLOCK)), every=st.integers(1, 3))
    def steer(self, handle: Handle, mode: int, every: int) -> None:
        """Make every n-th DPU fault at its next launch."""
        rows = np.array([[mode if dpu % every == 0 else 0] for dpu in range(len(handle.part))], np.int32)
        place = handle.part.resolve("mode", 0, 4)
        errors = set() if isinstance(place, Place) else place
        self.expect(errors, lambda: handle.dpus.copy("mode", rows))
        if isinstance(place, Place):
            for cells, row in zip(handle.part.cells(place), rows, strict=True):
                cells[:] = row.view(np.uint8)
            handle.part.transferred("write", "push", place, [True] * len(rows))
        self.same_timeline(handle)

    @rule(
        handle=handles, policy=st.sampled_from((None, None, *DpuLaunchPolicy, 7)), log=st.sampled_from((None, "stream", "list", "short", 7))
    )
    def launch(self, handle: Handle, policy: Any, log: Any) -> None:
        """`dpu_launch` with a policy, or `exec`, which may print logs."""
        part, stream = handle.part, io.StringIO()
        errors: set[type[Exception]] = set() if part.allocation.alive else {InvalidDpuSetError}
        if any(dpu.program is None for dpu in part):
            errors.add(NoProgramLoadedError)
        if policy is not None:
            if policy != DpuLaunchPolicy.DPU_SYNCHRONOUS:
                errors.add(InvalidLaunchPolicyError)
            log, call = None, lambda: dpu_launch(handle.dpus, policy)
        else:
            if log in ("short", 7):
                errors.add(ArgumentError)
            targets = {"stream": stream, "list": [stream] * len(part), "short": [stream] * (len(part) + 1)}
            call = lambda: handle.dpus.exec(log=targets.get(log, log))  # noqa: E731
        if errors:
            self.expect(errors, call)
            return self.same_timeline(handle)
        faults = part.launch()
        if faults:
            try:
                call()
            except DpuFaultError as error:
                assert {fault.dpu: fault.code for fault in error.faults} == faults
            else:
                raise AssertionError(f"no fault, but {faults} are due")
            assert not stream.getvalue()
        else:
            text, error = part.log() if log else ("", None)
            self.expect({error} if error else set(), call)
            assert stream.getvalue() == text
        return self.same_timeline(handle)

    @rule(handle=handles, way=st.sampled_from(("C", "Python")))
    def read_log(self, handle: Handle, way: str) -> None:
        stream, part = io.StringIO(), handle.part
        if way == "C" and part.kind != "dpu":
            self.expect({InvalidDpuSetError}, lambda: dpu_log_read(handle.dpus, stream))
            return self.same_timeline(handle)
        if not part.allocation.alive:
            _, error = part.log() if any(dpu.program is None or dpu.program.name == "silent" for dpu in part) else ("", None)
            self.expect({InvalidDpuSetError} | ({error} if error else set()), lambda: handle.dpus.log(stream))
            part.allocation.rows = part.allocation.rows[: len(handle.dpus.timeline.rows)]
            return None
        text, error = part.log()
        call = (lambda: dpu_log_read(handle.dpus, stream)) if way == "C" else (lambda: handle.dpus.log(stream))
        self.expect({error} if error else set(), call)
        assert stream.getvalue() == text
        return self.same_timeline(handle)

    # transfers

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
    def broadcast(
        self, handle: Handle, where: Where, buffer: Buffer, says_length: bool, flags: DpuXferFlags
    ) -> None:
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

    @rule(
        handle=handles, xfer=st.sampled_from((*DpuXfer, *DpuXfer, *DpuXfer, 2, None)), where=WHERE, flags=FLAGS
    )
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
        handle=handles, function=st.sampled_from(("to", "broadcast", "copy")), offset=st.sampled_from(("8", None, 2.5, [8])),
        size=st.sampled_from((8, "8", 2.5, [8])),
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

    @rule(handle=handles, name=st.sampled_from(("number", "pair", "odd", "rows", "value")), buffer=st.one_of(SINGLES, MANY), nbytes=st.sampled_from((8, 4, 16, 3)))
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
    return nbytes > 0 and any(after - before < nbytes for before, after in zip(starts, starts[1:], strict=False))
