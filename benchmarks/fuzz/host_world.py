"""What the steps of the state machine stand on: a small machine, its sets, and the comparison with the model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar, Literal

from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
)

from pim_runtime import DpuSet, DpuSymbol, EngineOptions, Machine, load_profile
from pim_runtime.api import (
    dpu_get_symbol,
)

from .host_model import MRAM_WINDOWS, Part, Program, Symbol
from .host_programs import silent, talking

__all__ = ["DPUS_PER_RANK", "HARDWARE", "HEAP", "PROGRAMS", "RANKS", "Handle", "World"]

RANKS, DPUS_PER_RANK = 3, 4
WHOLE = load_profile("upmem-v1a")
HARDWARE = replace(WHOLE, geometry=replace(WHOLE.geometry, ranks=RANKS, chips_per_rank=2, dpus_per_chip=2))
PROGRAMS = {"talking": talking, "silent": silent}
HEAP = "__sys_used_mram_end"
MRAM_BASE = 0x0800_0000
FIRST_VARIABLE = 40  # byte of WRAM; below lies what the runtime keeps for itself


class Handle:
    """A set of the API and what the model has for it."""

    def __init__(self, name: str, dpus: DpuSet, part: Part) -> None:
        self.name, self.dpus, self.part = name, dpus, part

    def __repr__(self) -> str:
        return self.name


class World(RuleBasedStateMachine):
    """Sets of a small machine: three ranks of four DPUs."""

    engines: ClassVar[tuple[Literal["compiled", "interpreted"], ...]] = ("interpreted",)  # of the sets in turn

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
        """What is alive has the model's memories, and can be freed."""
        for handle in self.allocations:
            if handle.part.allocation.alive:
                self.same_memories(handle)
                handle.dpus.free()

    def expect(self, errors: set[type[Exception]] | frozenset[type[Exception]], call: Callable[[], Any]) -> Any:
        """Call; it must raise one of `errors`, or nothing where there are none. Gives the error, or the result."""
        try:
            result = call()
        except Exception as error:
            if type(error) in errors:
                return error
            raise
        assert not errors, f"nothing was raised, but one of {sorted(each.__name__ for each in errors)} is due"
        return result

    def same_memories(self, handle: Handle) -> None:
        """Every byte of the variables, in both memories of every DPU, is the model's."""
        for child, dpu in zip(handle.dpus, handle.part, strict=True):
            spans = [("mram", first, nbytes) for first, nbytes in MRAM_WINDOWS]
            if dpu.program is not None:
                ends = [address + n for memory, address, n in dpu.program.symbols.values() if memory == "wram"]
                spans.append(("wram", FIRST_VARIABLE, (max(ends) - FIRST_VARIABLE + 3) & -4))
            for memory, first, nbytes in spans:
                found = bytearray(nbytes)
                child.copy(found, DpuSymbol("memory", first + (MRAM_BASE if memory == "mram" else 0), nbytes))
                expected = bytes(dpu.cells(memory, first, nbytes))
                assert found == expected, f"{child} has {found} at {memory} {first:#x}, the model {expected}"

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

    @property
    def free_ranks(self) -> int:
        """Ranks that no living set holds."""
        return RANKS - sum(handle.part.nr_ranks for handle in self.allocations if handle.part.allocation.alive)
