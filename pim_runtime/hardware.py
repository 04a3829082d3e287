"""The machine as data: what it is made of, how fast each part is, and where every number comes from.

Owns the records of a machine and the reading, checking and overriding of profiles. Computes no time: `timing` does.
A new number is one annotated field here and one entry in each profile; nothing else lists them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, is_dataclass
from decimal import Decimal
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, get_type_hints

from .errors import ProfileError
from .quantities import Curve, Integer, Number, Points, Quantity, Rule, Value, checked_value, quantity_from_entry

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = [
    "TICKS_PER_CYCLE",
    "Dma",
    "DmaLine",
    "Dpu",
    "Geometry",
    "Hardware",
    "HostLink",
    "Instructions",
    "Launch",
    "Pipeline",
    "Power",
    "Quantity",
    "Sync",
    "Transfer",
    "available_profiles",
    "load_profile",
]

TICKS_PER_CYCLE = 10_000
"""A tick is the finest part of a cycle that a profile may state, so that sums of cycles are exact integers of ticks."""

Cycles = Annotated[Decimal, Number("cycles", 4)]
CyclesPerByte = Annotated[Decimal, Number("cycles/byte", 4)]
Microseconds = Annotated[Decimal, Number("us", 6)]  # 1 ps
Slots = Annotated[int, Integer("slots")]
Bandwidth = Annotated[Decimal, Number("GB/s", 6)]  # 1 GB/s = 10^9 bytes per second
PositiveBandwidth = Annotated[Decimal, Number("GB/s", 6, "positive")]
Watts = Annotated[Decimal, Number("W", 6)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """How many of everything: ranks of chips of DPUs."""

    ranks: Annotated[int, Integer("ranks", at_least=1)]
    ranks_per_dimm: Annotated[int, Integer("ranks", at_least=1)]
    chips_per_rank: Annotated[int, Integer("chips", at_least=1)]
    dpus_per_chip: Annotated[int, Integer("DPUs", at_least=1)]

    @property
    def dpus_per_rank(self) -> int:
        return self.chips_per_rank * self.dpus_per_chip

    @property
    def dpus(self) -> int:
        return self.ranks * self.dpus_per_rank


@dataclass(frozen=True, slots=True, kw_only=True)
class Dpu:
    """Memories and limits of one DPU. `iram_instruction_bytes` is the size of an instruction as the host sees it."""

    mram_bytes: Annotated[int, Integer("bytes", at_least=8, multiple_of=8)]
    wram_bytes: Annotated[int, Integer("bytes", at_least=8, multiple_of=8)]
    iram_instructions: Annotated[int, Integer("instructions", at_least=1)]
    iram_instruction_bytes: Annotated[int, Integer("bytes", at_least=1)]
    max_tasklets: Annotated[int, Integer("tasklets", at_least=1)]
    atomic_bits: Annotated[int, Integer("bits")]
    reserved_atomic_bits: Annotated[int, Integer("bits")]
    default_stack_bytes: Annotated[int, Integer("bytes", at_least=8, multiple_of=8)]

    @property
    def mutex_bits(self) -> int:
        """Atomic bits that a program may take for its mutexes."""
        return self.atomic_bits - self.reserved_atomic_bits


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """One instruction per cycle and DPU, one per `reissue_cycles` and tasklet."""

    clock_mhz: Annotated[int, Integer("MHz", at_least=1)]
    reissue_cycles: Annotated[int, Integer("cycles", at_least=1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Instructions:
    """Issue slots of what is more than one instruction, each with its call and return where it is a routine.

    A 16-bit multiply of operands outside 0 to 255 takes `mul16_long_slots` more; a 32-bit multiply `mul32_step_slots`
    for each step beyond the first; a signed 32-bit division of non-negative numbers `sdiv32_extra_slots` more than an
    unsigned one with one quotient bit; a 64-bit division `div64_step_slots` for each quotient bit beyond the first.
    The assumed numbers stand for the data where they were not counted (timing="static").
    """

    mul16_slots: Slots
    mul16_long_slots: Slots
    mul32_slots: Slots
    mul32_step_slots: Slots
    mul64_slots: Slots
    udiv32_slots: Slots
    sdiv32_extra_slots: Slots
    div64_slots: Slots
    div64_step_slots: Slots
    assumed_mul16_long_percent: Annotated[int, Integer("%")]
    assumed_mul32_steps: Annotated[int, Integer("steps")]
    assumed_div32_slots: Slots
    assumed_div64_steps: Annotated[int, Integer("steps")]


@dataclass(frozen=True, slots=True, kw_only=True)
class DmaLine:
    """Cycles of one DMA of `s` bytes: setup_cycles + cycles_per_byte * s."""

    setup_cycles: Cycles
    cycles_per_byte: CyclesPerByte


@dataclass(frozen=True, slots=True, kw_only=True)
class Dma:
    """Rules and cost of a DMA between MRAM and WRAM.

    Occupancy is how long the one engine of a DPU is busy, stall how long the issuing tasklet waits if the engine is
    free. A DMA issues `issue_slots` instructions; `pipeline_load_slots` more load the pipeline, but not its tasklet.
    """

    min_bytes: Annotated[int, Integer("bytes", at_least=1)]
    max_bytes: Annotated[int, Integer("bytes", at_least=1)]
    granularity_bytes: Annotated[int, Integer("bytes", at_least=1)]
    issue_slots: Slots
    pipeline_load_slots: Annotated[Decimal, Number("slots", 4)]
    read_occupancy: DmaLine
    write_occupancy: DmaLine
    read_stall: DmaLine
    write_stall: DmaLine


@dataclass(frozen=True, slots=True, kw_only=True)
class Sync:
    """Cost of a barrier, as (tasklets, cycles) points for linear interpolation, and of the other primitives."""

    barrier: Annotated[Points, Curve("tasklets, cycles")]
    lock_slots: Slots
    sync_slots: Slots
    alloc_slots: Slots


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """Host time of a synchronous launch beyond the kernel itself."""

    setup_us: Microseconds
    us_per_tasklet: Microseconds
    us_per_further_rank: Microseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class HostLink:
    """One direction of host transfers.

    Setup of a call is setup_us + setup_us_per_rank * ranks. All DPUs together get base_gb_per_s + gb_per_s_per_rank *
    min(ranks, knee_ranks), but never more than one_dpu_gb_per_s each.
    """

    setup_us: Microseconds
    setup_us_per_rank: Microseconds
    base_gb_per_s: PositiveBandwidth
    gb_per_s_per_rank: Bandwidth
    knee_ranks: Annotated[Decimal, Number("ranks", 6)]
    one_dpu_gb_per_s: PositiveBandwidth


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """Host to DPUs (push), DPUs to host (pull), one buffer to all DPUs (broadcast)."""

    push: HostLink
    pull: HostLink
    broadcast: HostLink


@dataclass(frozen=True, slots=True, kw_only=True)
class Power:
    """Thermal design power per allocated DPU, and the upper of the published figures."""

    dpu_watts: Watts
    dpu_watts_upper: Watts


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """One machine. `provenance` lists every value with its unit, provenance and source, in the order of the fields."""

    name: str
    geometry: Geometry
    dpu: Dpu
    pipeline: Pipeline
    instructions: Instructions
    dma: Dma
    sync: Sync
    launch: Launch
    transfer: Transfer
    power: Power
    provenance: tuple[Quantity, ...]

    def with_values(self, values: Mapping[str, Value | float]) -> Hardware:
        """This machine with other values, as in {"pipeline.clock_mhz": 450}; their provenance becomes "assumed".

        Raises ProfileError for an unknown key and for a value that its rule refuses.
        """
        file, rules = f"{self.name} with values set by the user", dict(_rules(Hardware))
        quantities = {quantity.key: quantity for quantity in self.provenance}
        for key, raw in values.items():
            if key not in rules:
                raise _unknown_key(file, key, rules)
            quantities[key] = Quantity(
                key=key,
                value=checked_value(rules[key], file=file, key=key, raw=raw),
                unit=rules[key].unit,
                provenance="assumed",
                source="set by the user",
            )
        return _hardware(self.name, file, quantities)


def available_profiles() -> list[str]:
    """Names of the profiles that ship with the package, sorted."""
    return sorted(entry.name.removesuffix(".toml") for entry in _shipped().iterdir() if entry.name.endswith(".toml"))


def load_profile(name_or_path: str | Path) -> Hardware:
    """The machine of a shipped profile ("upmem-v1a"), or of a file (any path that ends in ".toml").

    Raises ProfileError if there is no such profile, or if it breaks a rule. `Hardware` has the keys and rules.
    """
    path = Path(name_or_path)
    if path.suffix == ".toml":
        name, file, read = path.stem, str(path), path.read_text
    elif str(name_or_path) in available_profiles():
        name, file, read = str(name_or_path), f"{name_or_path}.toml", (_shipped() / f"{name_or_path}.toml").read_text
    else:
        raise ProfileError(
            f"no hardware profile {str(name_or_path)!r}. Use one of {', '.join(available_profiles())}, "
            f"or the path of a .toml file."
        )
    try:
        tree = tomllib.loads(read(encoding="utf-8"), parse_float=Decimal)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ProfileError(f"{file}: cannot be read as TOML: {error}. Give a readable TOML file.") from error
    rules = dict(_rules(Hardware))
    entries = dict(_entries(tree, file, rules))
    missing = [key for key in rules if key not in entries]
    if missing:
        raise ProfileError(
            f"{file}, {missing[0]}: is missing ({len(missing)} missing in all), and a profile "
            f"states every value. Add the table [{missing[0]}]."
        )
    return _hardware(
        name,
        file,
        {key: quantity_from_entry(rule, file=file, key=key, entry=entries[key]) for key, rule in rules.items()},
    )


def _shipped() -> Any:
    return files("pim_runtime") / "profiles"


def _rules(record: Any, prefix: str = "") -> Iterator[tuple[str, Rule]]:
    """(dotted key, rule) of every value below a record, in the order of its fields."""
    for name, hint in get_type_hints(record, include_extras=True).items():
        if is_dataclass(hint):
            yield from _rules(hint, f"{prefix}{name}.")
        elif hasattr(hint, "__metadata__"):
            yield f"{prefix}{name}", hint.__metadata__[0]


def _entries(
    table: Mapping[str, object], file: str, rules: Mapping[str, Rule], prefix: str = ""
) -> Iterator[tuple[str, object]]:
    """(dotted key, entry) of every entry of a profile. Raises ProfileError at a key that no record has."""
    for name, child in table.items():
        key = f"{prefix}{name}"
        if key in rules:
            yield key, child
        elif isinstance(child, dict) and any(known.startswith(f"{key}.") for known in rules):
            yield from _entries(child, file, rules, f"{key}.")
        else:
            raise _unknown_key(file, key, rules)


def _unknown_key(file: str, key: str, rules: Mapping[str, Rule]) -> ProfileError:
    near = get_close_matches(key, rules, n=1)
    return ProfileError(
        f"{file}, {key}: no value of a machine has this key. "
        + (f"Did you mean {near[0]}?" if near else "Remove it, or see `Hardware` for the keys.")
    )


def _hardware(name: str, file: str, quantities: Mapping[str, Quantity]) -> Hardware:
    """The records of checked quantities. Raises ProfileError where two values contradict each other."""
    hints = get_type_hints(Hardware)
    parts = {part: _record(hint, f"{part}.", quantities) for part, hint in hints.items() if is_dataclass(hint)}
    hardware = Hardware(name=name, provenance=tuple(quantities.values()), **parts)
    for key, value, agrees, rule in _agreements(hardware):
        if not agrees:
            raise ProfileError(f"{file}, {key}: value {value} {rule}. Change one of the two.")
    return hardware


def _record(record: Any, prefix: str, quantities: Mapping[str, Quantity]) -> Any:
    return record(
        **{
            name: _record(hint, f"{prefix}{name}.", quantities)
            if is_dataclass(hint)
            else quantities[f"{prefix}{name}"].value
            for name, hint in get_type_hints(record).items()
        }
    )


def _agreements(hardware: Hardware) -> Iterator[tuple[str, object, bool, str]]:
    """(key, value, does it hold, rule) of every rule between two values."""
    geometry, dpu, dma, power = hardware.geometry, hardware.dpu, hardware.dma, hardware.power
    tasklets = [x for x, _ in hardware.sync.barrier]
    yield (
        "geometry.ranks_per_dimm",
        geometry.ranks_per_dimm,
        geometry.ranks_per_dimm <= geometry.ranks,
        f"must not exceed geometry.ranks = {geometry.ranks}",
    )
    yield (
        "dpu.reserved_atomic_bits",
        dpu.reserved_atomic_bits,
        dpu.mutex_bits >= 0,
        f"must not exceed dpu.atomic_bits = {dpu.atomic_bits}",
    )
    yield (
        "dpu.default_stack_bytes",
        dpu.default_stack_bytes,
        dpu.default_stack_bytes <= dpu.wram_bytes,
        f"must fit in dpu.wram_bytes = {dpu.wram_bytes}",
    )
    yield (
        "dma.min_bytes",
        dma.min_bytes,
        dma.min_bytes <= dma.max_bytes,
        f"must not exceed dma.max_bytes = {dma.max_bytes}",
    )
    for key, size_bytes in (("dma.min_bytes", dma.min_bytes), ("dma.max_bytes", dma.max_bytes)):
        yield (
            key,
            size_bytes,
            size_bytes % dma.granularity_bytes == 0,
            f"must be a multiple of dma.granularity_bytes = {dma.granularity_bytes}",
        )
    yield (
        "sync.barrier",
        hardware.sync.barrier,
        tasklets[0] == 1 and tasklets[-1] >= dpu.max_tasklets,
        f"must reach from 1 tasklet to dpu.max_tasklets = {dpu.max_tasklets}",
    )
    yield (
        "power.dpu_watts",
        power.dpu_watts,
        power.dpu_watts <= power.dpu_watts_upper,
        f"must not exceed power.dpu_watts_upper = {power.dpu_watts_upper}",
    )
