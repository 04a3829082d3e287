"""A saved state as members of a container, and back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, get_args

import numpy as np

from ..blocks import BLOCK_BYTES, Blocks, blocks_per_dpu
from ..commands import Memory
from ..device.faults import FaultCode
from ..device.run_record import MAX_TASKLETS, NR_MUTEX_BITS
from ..engine.deadlocks import Wait
from ..engine.faults import Fault
from ..errors import CheckpointError
from .arrays import ArrayReader, ArrayWriter
from .container import FIRST_MEMBER, MALFORMED, Container, Member
from .fields import Fields
from .programs import MAX_ADDRESS, SavedProgram
from .rows import timeline_as_json, timeline_from_json
from .state import Part, SavedState, SetKind

__all__ = ["members_of", "state_of"]

MAX_DPUS = 1 << 24  # a limit to what a foreign file may claim


def members_of(state: SavedState) -> Iterator[Member]:
    """The members of a state's container. Raises CheckpointError for a note that is no JSON."""
    arrays = ArrayWriter()
    content = {
        "profile": state.profile,
        "machine": dict(state.machine),
        "clock": state.clock,
        "kind": state.kind,
        "first_dpu": state.first_dpu,
        "nr_dpus": state.nr_dpus,
        "parts": list(state.parts),
        "programs": [program.as_json() for program in state.programs],
        "program_of": arrays.number(np.array(state.program_of, np.int64)),
        "memories": {memory: blocks.bytes_per_dpu for memory, blocks in state.memories.items()},
        "faults": [_fault_as_json(fault) for _, fault in sorted(state.faults.items())],
        "timeline": None if state.timeline is None else timeline_as_json(state.timeline, arrays),
        "note": _checked_note(state.note),
    }
    yield FIRST_MEMBER, json.dumps(content, ensure_ascii=False).encode()
    yield from arrays.members()
    for memory, blocks in state.memories.items():
        yield f"{memory}/numbers.npy", blocks.numbers
        yield f"{memory}/contents.npy", blocks.contents


def state_of(container: Container) -> SavedState:
    """The state in a container. Raises CheckpointError."""
    try:
        return _state_of(Fields(container.json(FIRST_MEMBER), FIRST_MEMBER), container)
    except MALFORMED as error:
        raise container.malformed(str(error)) from None


def _state_of(fields: Fields, container: Container) -> SavedState:
    nr_dpus = fields.integer("nr_dpus", at_least=1, at_most=MAX_DPUS)
    arrays = ArrayReader(container)
    programs = tuple(map(SavedProgram.from_json, fields.each("programs")))
    program_of = arrays.of(fields, "program_of", np.int64, 1)
    if program_of.shape != (nr_dpus,) or program_of.min() < -1 or program_of.max() >= len(programs):
        raise ValueError(f"{len(programs)} programs do not go with those of {program_of.shape[0]} DPUs")
    timeline = fields.maybe_fields("timeline")
    parts = fields.strings("parts")
    memories = _memories_of(fields.fields("memories"), nr_dpus, container)
    if sorted(memories) != [memory for memory in get_args(Memory) if memory in parts]:
        raise ValueError(f"parts {', '.join(parts)} do not go with memories {', '.join(memories)}")
    faults = [_fault_from_json(fault, nr_dpus) for fault in fields.each("faults")]
    return SavedState(
        profile=fields.text("profile"),
        machine=fields.texts("machine"),
        clock=fields.text("clock"),
        kind=fields.word("kind", get_args(SetKind)),
        first_dpu=fields.integer("first_dpu", at_most=MAX_DPUS),
        nr_dpus=nr_dpus,
        parts=tuple(part for part in get_args(Part) if part in parts),
        programs=programs,
        program_of=tuple(program_of.tolist()),
        memories=memories,
        faults={fault.dpu: fault for fault in faults},
        timeline=None if timeline is None else timeline_from_json(timeline, arrays),
        note=fields.value("note"),
    )


def _memories_of(fields: Fields, nr_dpus: int, container: Container) -> dict[Memory, Blocks]:
    memories: dict[Memory, Blocks] = {}
    for memory in get_args(Memory):
        if not fields.has(memory):
            continue
        bytes_per_dpu = fields.integer(memory, at_least=1, at_most=MAX_ADDRESS)
        numbers = container.array(f"{memory}/numbers.npy", np.int64, 1)
        contents = container.array(f"{memory}/contents.npy", np.uint8, 2)
        if contents.shape != (len(numbers), BLOCK_BYTES) or (np.diff(numbers) <= 0).any():
            raise ValueError(f"{memory}: {len(numbers)} blocks, in order or not, with contents {contents.shape}")
        if len(numbers) and not 0 <= numbers[0] <= numbers[-1] < nr_dpus * blocks_per_dpu(bytes_per_dpu):
            raise ValueError(f"{memory}: blocks {numbers[0]} to {numbers[-1]} of {nr_dpus} x {bytes_per_dpu} bytes")
        memories[memory] = Blocks(nr_dpus=nr_dpus, bytes_per_dpu=bytes_per_dpu, numbers=numbers, contents=contents)
    return memories


def _fault_as_json(fault: Fault) -> dict[str, object]:
    return {
        "dpu": fault.dpu,
        "tasklet": fault.tasklet,
        "phase": fault.phase,
        "code": int(fault.code),
        "values": fault.values,
        "filename": fault.filename,
        "line": fault.line,
        "text": fault.text,
        "waits": [
            {
                "tasklets": wait.tasklets,
                "what": wait.what,
                "filename": wait.filename,
                "line": wait.line,
                "why": wait.why,
            }
            for wait in fault.waits
        ],
        "mutexes": [bit for bit, _ in fault.holders],
        "holders": [tasklet for _, tasklet in fault.holders],
    }


def _fault_from_json(fields: Fields, nr_dpus: int) -> Fault:
    return Fault(
        dpu=fields.integer("dpu", at_most=nr_dpus - 1),
        tasklet=fields.integer("tasklet", at_most=MAX_TASKLETS - 1),
        phase=fields.integer("phase"),
        code=FaultCode(fields.integer("code")),
        values=fields.integers("values", at_least=-(1 << 63), at_most=(1 << 63) - 1),
        filename=fields.text("filename"),
        line=fields.integer("line"),
        text=fields.text("text"),
        waits=tuple(
            Wait(
                tasklets=wait.integers("tasklets", at_most=MAX_TASKLETS - 1),
                what=wait.text("what"),
                filename=wait.text("filename"),
                line=wait.integer("line"),
                why=wait.text("why"),
            )
            for wait in fields.each("waits")
        ),
        holders=tuple(
            zip(
                fields.integers("mutexes", at_most=NR_MUTEX_BITS - 1),
                fields.integers("holders", at_most=MAX_TASKLETS - 1),
                strict=True,
            )
        ),
    )


def _checked_note(note: Any) -> Any:
    """A note as it will be read. Raises CheckpointError."""
    try:
        read = json.loads(json.dumps(note, ensure_ascii=False, allow_nan=False).encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"the note cannot be written: {error}. A note holds what JSON does: texts, numbers, lists, dictionaries"
        ) from None
    if read != _plain(note):
        raise CheckpointError(f"the note {note!r} would be read as {read!r}: use texts as keys of dictionaries")
    return read


def _plain(note: Any) -> Any:
    """Lists for tuples, which JSON does not have."""
    if isinstance(note, list | tuple):
        return [_plain(value) for value in note]
    return {key: _plain(value) for key, value in note.items()} if isinstance(note, dict) else note
