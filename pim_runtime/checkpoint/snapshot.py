"""Taking a state from the DPUs of an allocation, and giving it back.

Neither has a row in the timeline, as no time of them is published. The buffers that a host program has prepared for
transfers are its own, and in no state.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from textwrap import shorten
from typing import get_args

from ..allocation import Allocation
from ..commands import Capture, Memory, Restore
from ..errors import CheckpointError
from ..hardware import Hardware
from ..program import DpuBinary
from .programs import SavedProgram, saved_program
from .state import Part, SavedState, SetKind

__all__ = ["chosen_parts", "restore_state", "take_state"]

PARTS: tuple[Part, ...] = get_args(Part)
ANY_VALUE = ("geometry.ranks", "geometry.ranks_per_dimm")  # how much of the machine there is beside these DPUs


def chosen_parts(iram: bool, mram: bool, wram: bool) -> tuple[Part, ...]:
    """The parts that the SDK's Python functions name; what is internal always belongs to them."""
    return tuple(part for part, wanted in zip(PARTS, (True, iram, mram, wram), strict=True) if wanted)


def take_state(allocation: Allocation, dpus: range, kind: SetKind, parts: Collection[Part]) -> SavedState:
    """A copy of the state of some DPUs. Raises InvalidDpuSetError after a free, CheckpointError for want of memory."""
    allocation.require_alive()
    binaries = allocation.binaries[dpus.start : dpus.stop]
    loaded = list(dict.fromkeys(binary for binary in binaries if binary is not None)) if "iram" in parts else []
    index_of: dict[DpuBinary | None, int] = {binary: index for index, binary in enumerate(loaded)}
    faults = allocation.faults if "internal" in parts else {}
    try:
        memories = {
            memory: allocation.backend.submit(Capture(dpus=dpus, memory=memory))
            for memory in get_args(Memory)
            if memory in parts
        }
    except (MemoryError, OSError) as error:
        raise CheckpointError(
            f"a copy of the memories of {len(dpus)} DPUs does not fit this computer's memory ({error}). Save ranks or "
            "DPUs one after the other"
        ) from None
    return SavedState(
        profile=allocation.hardware.name,
        machine=_machine(allocation.hardware),
        clock=allocation.timeline.clock,
        kind=kind,
        first_dpu=dpus.start,
        nr_dpus=len(dpus),
        parts=tuple(part for part in PARTS if part in parts),
        programs=tuple(map(saved_program, loaded)),
        program_of=tuple(index_of.get(binary, -1) for binary in binaries),
        memories=memories,
        faults={dpu - dpus.start: replace(fault, dpu=dpu - dpus.start) for dpu, fault in faults.items() if dpu in dpus},
        timeline=allocation.timeline.state() if kind == "set" and "internal" in parts else None,
    )


def restore_state(
    allocation: Allocation, dpus: range, kind: SetKind, state: SavedState, parts: Collection[Part]
) -> None:
    """Make some DPUs what they were; the state of a whole set brings its timeline back, too.

    What is internal is restored where it was saved. Raises CheckpointError, before anything has changed, where the
    state does not fit these DPUs.
    """
    allocation.require_alive()
    _check_machine(allocation, state)
    _check_parts(state, parts)
    if len(dpus) != state.nr_dpus:
        raise CheckpointError(
            f"the checkpoint has {state.nr_dpus} DPUs, this {kind} {len(dpus)}: allocate {state.nr_dpus} DPUs, or "
            "restore single ones with context[i]"
        )
    if "iram" in parts:
        _check_programs(state, allocation.binaries[dpus.start : dpus.stop])
    for memory in get_args(Memory):
        if memory in parts:
            allocation.restore(Restore(dpus=dpus, memory=memory, blocks=state.memories[memory]))
    if "internal" in state.parts:
        allocation.replace_faults(dpus, state.faults)
        if state.timeline is not None and kind == "set":
            allocation.timeline.resume(state.timeline)


def _machine(hardware: Hardware) -> dict[str, str]:
    """All values that results and simulated times depend on, as text."""
    return {key: str(quantity.value) for key, quantity in hardware.quantities.items() if key not in ANY_VALUE}


def _check_machine(allocation: Allocation, state: SavedState) -> None:
    here = _machine(allocation.hardware)
    differing = [key for key in sorted(here.keys() | state.machine.keys()) if here.get(key) != state.machine.get(key)]
    if differing:
        shown = "; ".join(
            f"{key} {shorten(state.machine.get(key, 'none'), 40)}, here {shorten(here.get(key, 'none'), 40)}"
            for key in differing[:3]
        )
        more = f"; and {len(differing) - 3} more" if len(differing) > 3 else ""
        raise CheckpointError(
            f"the checkpoint is of a machine {state.profile!r}, these DPUs are of {allocation.hardware.name!r}, which "
            f"differs: {shown}{more}. Allocate from a machine with the same profile"
        )
    sizes = {"mram": allocation.hardware.dpu.mram_bytes, "wram": allocation.hardware.dpu.wram_bytes}
    for memory, blocks in state.memories.items():
        if blocks.bytes_per_dpu != sizes[memory]:
            raise CheckpointError(
                f"the checkpoint has {memory.upper()} of {blocks.bytes_per_dpu} bytes, these DPUs {sizes[memory]}, "
                "though their machines are the same: the file was not written by pim-runtime. Do not use it"
            )
    if allocation.timeline.clock != state.clock:
        raise CheckpointError(
            f"the checkpoint's kernel times have the form {state.clock!r}, here {allocation.timeline.clock!r}. "
            f"Allocate from a Machine(..., clock={state.clock!r})"
        )


def _check_parts(state: SavedState, parts: Collection[Part]) -> None:
    missing = [part for part in PARTS[1:] if part in parts and part not in state.parts]
    if missing:
        raise CheckpointError(
            f"the checkpoint has no {', '.join(missing)}, only {', '.join(state.parts) or 'nothing'}: restore with "
            + ", ".join(f"{part}=False" for part in missing)
        )


def _check_programs(state: SavedState, binaries: list[DpuBinary | None]) -> None:
    for dpu, binary in enumerate(binaries):
        saved = state.program(dpu)
        if saved is not None:
            difference = _difference(saved, binary)
            if difference:
                raise CheckpointError(
                    f"DPU {dpu} was saved with {saved}, {difference}. A checkpoint holds no code: load the program "
                    "that it was saved with, or restore with iram=False"
                )


def _difference(saved: SavedProgram, binary: DpuBinary | None) -> str:
    return "but none is loaded" if binary is None else saved.difference(saved_program(binary))
