"""`pim inspect FILE`: what a saved state holds. Needs no program, and executes nothing of the file."""

from __future__ import annotations

import argparse
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import PurePath
from typing import get_args

import numpy as np

from ..checkpoint.context import DpuContext
from ..checkpoint.programs import SavedVariable
from ..checkpoint.state import SavedState
from ..commands import Memory
from ..device.integers import as_integer_type
from ..engine.faults import Fault
from ..topology import format_ranges
from .output import Cell, Column, Report, Section, Table, Value

__all__ = ["HELP", "NAME", "add_arguments", "run"]

NAME = "inspect"
HELP = "show a saved state (DpuContext.save): machine, programs, faults, symbols and memory"

KINDS = tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))
NR_ELEMENTS, NR_BYTES = 64, 256  # shown unless told otherwise
BYTES_PER_ROW = 16
ELEMENTS_IN_LIST = 8  # of a symbol in the list of all


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The file, and what of one DPU to show."""
    parser.add_argument("file", metavar="FILE", help="a file that DpuContext.save has written")
    parser.add_argument(
        "--dpu", type=int, metavar="N", help="one DPU: its program, its fault, the values of its symbols"
    )
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--symbol", metavar="NAME", help="the elements of one symbol of the DPU")
    chosen.add_argument("--mram", type=_number, metavar="ADDRESS", help="bytes of its MRAM")
    chosen.add_argument("--wram", type=_number, metavar="ADDRESS", help="bytes of its WRAM")
    parser.add_argument("--as", dest="kind", choices=KINDS, help="the type of the elements (default: the symbol's own)")
    parser.add_argument(
        "--first", type=_number, default=0, metavar="I", help="first element of the symbol (default: 0)"
    )
    parser.add_argument(
        "--count",
        type=_number,
        metavar="N",
        help=f"elements or bytes to show (default: up to {NR_ELEMENTS} elements, {NR_BYTES} bytes)",
    )


def run(arguments: argparse.Namespace) -> Report:
    """The state as a whole, or one DPU of it.

    Raises CheckpointError for a file that cannot be read, ValueError for a DPU, symbol or address that is not there.
    """
    _check_choices(arguments)
    state = DpuContext.open(arguments.file).state
    title = f"Saved state {arguments.file}"
    dpu = arguments.dpu
    wants_memory = arguments.symbol is not None or arguments.mram is not None or arguments.wram is not None
    if dpu is None and wants_memory and state.nr_dpus == 1:
        dpu = 0
    if dpu is None:
        if wants_memory:
            raise ValueError(f"of which of the {state.nr_dpus} DPUs? Give --dpu N, too")
        return Report(title=title, sections=tuple(_sections(state)))
    if not 0 <= dpu < state.nr_dpus:
        raise ValueError(f"--dpu {dpu}: the state has DPUs 0 to {state.nr_dpus - 1}")
    if arguments.symbol is not None:
        section = _symbol(state, dpu, arguments)
    elif wants_memory:
        section = _bytes(state, dpu, arguments)
    else:
        section = _dpu(state, dpu)
    return Report(title=title, sections=(section,))


def _check_choices(arguments: argparse.Namespace) -> None:
    """Raise ValueError for options without what they are about."""
    if arguments.symbol is None and (arguments.kind is not None or arguments.first):
        raise ValueError("--as and --first are about the elements of a symbol: give --symbol NAME, too")
    if arguments.count is not None and arguments.symbol is arguments.mram is arguments.wram is None:
        raise ValueError("--count is about elements or bytes: give --symbol, --mram or --wram, too")


# the whole


def _sections(state: SavedState) -> Iterator[Section]:
    values = [
        Value(name="machine", value=state.profile, origin="exact"),
        Value(name="saved", value=_saved(state), origin="exact"),
        Value(name="parts", value=", ".join(state.parts) or "none", origin="exact"),
    ]
    for memory, blocks in state.memories.items():
        values.append(
            Value(name=f"{memory.upper()} that is not zero", value=blocks.contents.nbytes, unit="bytes", origin="exact")
        )
    notes = [f"note: {json.dumps(state.note, ensure_ascii=False)}"] if state.note is not None else []
    if state.timeline is not None:
        values.append(Value(name="simulated time", value=state.timeline.now_ps / 1e6, unit="us", origin="modelled"))
        count = Counter(row.operation for row in state.timeline.rows)
        values.append(
            Value(name="commands", value=", ".join(f"{n} {name}" for name, n in count.items()), origin="exact")
        )
    yield Section(title="State", values=tuple(values), notes=tuple(notes))
    yield _programs(state)
    if "internal" in state.parts:
        yield _faults(state)


def _saved(state: SavedState) -> str:
    what = {"set": "a whole set", "rank": "a rank", "dpu": "one DPU"}[state.kind]
    last = state.first_dpu + state.nr_dpus - 1
    return f"{what}, DPU {last}" if state.nr_dpus == 1 else f"{what}, DPUs {state.first_dpu} to {last}"


def _programs(state: SavedState) -> Section:
    columns = tuple(Column(name=name) for name in ("program", "tasklets", "DPUs", "SHA-256"))
    rows: list[tuple[Cell, ...]] = []
    tables = []
    for index, program in enumerate(state.programs):
        dpus = format_ranges(dpu for dpu, its in enumerate(state.program_of) if its == index)
        rows.append((program.name, program.nr_tasklets, dpus, program.fingerprint[:16]))
        variables = tuple(_variable_row(variable) for variable in program.variables)
        names = ("symbol", "section", "type", "shape", "address", "bytes")
        tables.append(Table(title=program.name, columns=tuple(Column(name=name) for name in names), rows=variables))
    return Section(title="Programs", tables=(Table(title="", columns=columns, rows=tuple(rows)), *tables))


def _variable_row(variable: SavedVariable) -> tuple[Cell, ...]:
    shape = " x ".join(map(str, variable.shape))
    return variable.name, variable.section, variable.kind.name, shape, f"{variable.address:#x}", variable.nbytes


def _faults(state: SavedState) -> Section:
    """Faults of the last launches; DPUs with the same one share a row."""
    alike: dict[tuple[Cell, ...], list[int]] = defaultdict(list)
    for dpu, fault in state.faults.items():
        alike[fault.tasklet, fault.phase, _place(fault), fault.text].append(dpu)
    columns = tuple(Column(name=name) for name in ("DPUs", "tasklet", "phase", "place", "fault"))
    rows = tuple((format_ranges(dpus), *kind) for kind, dpus in alike.items())
    if not rows:
        return Section(title="Faults", notes=("No DPU is in fault.",))
    return Section(title="Faults", tables=(Table(title="", columns=columns, rows=rows),))


def _place(fault: Fault) -> str:
    return f"{PurePath(fault.filename).name}:{fault.line}" if fault.filename else ""


# one DPU


def _dpu(state: SavedState, dpu: int) -> Section:
    program, fault = state.program(dpu), state.faults.get(dpu)
    values = [Value(name="program", value=str(program) if program else "none", origin="exact")]
    if fault is not None:
        values += [
            Value(name="fault", value=f"tasklet {fault.tasklet}, phase {fault.phase}, {_place(fault)}", origin="exact"),
            Value(name="reason", value=fault.text, origin="exact"),
        ]
    rows = []
    for variable in program.variables if program else ():
        kept = variable.memory in state.memories
        elements = _elements(state, dpu, variable, variable.kind.dtype, 0, ELEMENTS_IN_LIST) if kept else []
        more = " ..." if kept and len(elements) * variable.kind.itemsize < variable.nbytes else ""
        rows.append((variable.name, f"{variable.kind}", " ".join(map(str, elements)) + more if kept else "not saved"))
    columns = (Column(name="symbol"), Column(name="type"), Column(name="values", origin="exact"))
    return Section(
        title=f"DPU {dpu}", values=tuple(values), tables=(Table(title="", columns=columns, rows=tuple(rows)),)
    )


def _symbol(state: SavedState, dpu: int, arguments: argparse.Namespace) -> Section:
    program, name = state.program(dpu), arguments.symbol
    variables = {variable.name: variable for variable in program.variables} if program else {}
    if name not in variables:
        raise ValueError(f"DPU {dpu} has no symbol {name!r}: it has {', '.join(variables) or 'no program'}")
    variable = variables[name]
    kind = as_integer_type(arguments.kind) if arguments.kind else variable.kind
    length = variable.nbytes // kind.itemsize
    first = arguments.first
    if first >= max(1, length):
        raise ValueError(f"--first {first}: {name} has {length} elements of {kind}")
    count = min(NR_ELEMENTS if arguments.count is None else arguments.count, length - first)
    elements = _elements(state, dpu, variable, kind.dtype, first, count)
    columns = (Column(name="element"), Column(name=kind.name, origin="exact"))
    rows = tuple((first + index, element) for index, element in enumerate(elements))
    shown = f"elements {first} to {first + count - 1} of {length}" if count else f"none of {length} elements"
    return Section(
        title=f"DPU {dpu}: {variable}", tables=(Table(title="", columns=columns, rows=rows),), notes=(shown,)
    )


def _bytes(state: SavedState, dpu: int, arguments: argparse.Namespace) -> Section:
    memory: Memory = "mram" if arguments.mram is not None else "wram"
    address = getattr(arguments, memory)
    size = _memory_bytes(state, memory)
    if address >= size:
        raise ValueError(f"--{memory} {address:#x}: the {memory.upper()} ends at {size:#x}")
    count = min(NR_BYTES if arguments.count is None else arguments.count, size - address)
    data = state.memories[memory].read(dpu, address, count)
    rows = []
    for start in range(0, count, BYTES_PER_ROW):
        row = data[start : start + BYTES_PER_ROW].tobytes()
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        rows.append((f"{address + start:#010x}", row.hex(" "), text))
    columns = (Column(name="address"), Column(name="bytes", origin="exact"), Column(name="text"))
    return Section(title=f"DPU {dpu}: {memory.upper()}", tables=(Table(title="", columns=columns, rows=tuple(rows)),))


def _elements(
    state: SavedState, dpu: int, variable: SavedVariable, dtype: np.dtype[np.integer], first: int, count: int
) -> list[int]:
    """Some elements of a symbol, fewer where it ends."""
    memory = variable.memory
    count = min(count, variable.nbytes // dtype.itemsize - first)
    address = variable.address + first * dtype.itemsize
    if address + count * dtype.itemsize > _memory_bytes(state, memory):
        raise ValueError(f"{variable} leaves the {memory.upper()}: the file was not written by pim-runtime")
    elements: list[int] = state.memories[memory].read(dpu, address, count * dtype.itemsize).view(dtype).tolist()
    return elements


def _memory_bytes(state: SavedState, memory: Memory) -> int:
    if memory not in state.memories:
        parts = [part for part in get_args(Memory) if part in state.memories]
        raise ValueError(f"the state was saved without {memory.upper()}: it has {', '.join(parts) or 'no memory'}")
    return state.memories[memory].bytes_per_dpu


def _number(text: str) -> int:
    """A number of at least 0, in any base that Python writes."""
    try:
        number = int(text, 0)
    except ValueError:
        number = -1
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of 0 or more, such as 64 or 0x40")
    return number
