"""`pim info`: versions, engines, cache, hardware profiles with the source of every value, shipped kernels.

Reads and imports no kernel, and never numba; what is installed is asked of the package metadata.
"""

from __future__ import annotations

import argparse
import ast
import os
import platform
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from ..compiler.cache import cache_folder
from ..engine.protocol import EngineOptions
from ..hardware import available_profiles, load_profile
from ..quantities import CallTimes, Provenance, Quantity
from ..quantities import Value as QuantityValue
from .machine_options import add_set_option, chosen_hardware, machine_name
from .output import Cell, Column, Report, Section, Table, Value
from .versions import installed_version

if TYPE_CHECKING:
    from ..hardware.profile_files import ProfileFolder

__all__ = ["HELP", "NAME", "add_arguments", "run"]

NAME = "info"
HELP = "show versions, engines, the kernel cache, hardware profiles and shipped kernels"

_REQUIRED = ("pim-runtime", "numba", "llvmlite", "numpy", "cffi")
_OPTIONAL = ("rich", "pandas", "matplotlib", "safetensors", "ml_dtypes", "ray")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`--profile`: one profile in full instead of the overview, with the values of `--set`."""
    parser.add_argument(
        "--profile", metavar="NAME", help="show every value of one profile (a shipped name, or a .toml file)"
    )
    add_set_option(parser)


def run(arguments: argparse.Namespace) -> Report:
    """The overview, or with `--profile` all values of that profile.

    Raises ProfileError for an invalid profile or value, ValueError for a wrong `--set`.
    """
    for folder in _other_folders():
        if arguments.profile in folder.available():
            if arguments.set:
                raise ValueError(f"--set {arguments.set[0]}: is for profiles of DPUs, and this is a {folder.what}")
            machine = folder.load(arguments.profile)
            return Report(title=f"{folder.what} {machine.name}", sections=(_profile_section(machine.provenance),))
    if arguments.profile is not None:
        hardware = chosen_hardware(arguments)
        return Report(title=f"Hardware {machine_name(hardware)}", sections=(_profile_section(hardware.provenance),))
    if arguments.set:
        raise ValueError(f"--set {arguments.set[0]}: is a value of a profile. Give --profile NAME, too.")
    return Report(title="pim-runtime", sections=(_versions(), _computer(), _profiles(), _other_machines(), _kernels()))


def _versions() -> Section:
    names = (*_REQUIRED, *_OPTIONAL)
    installed = tuple(Value(name=name, value=installed_version(name), origin="exact") for name in names)
    return Section(
        title="Versions",
        values=(
            Value(
                name="python", value=platform.python_version(), origin="exact", source=platform.python_implementation()
            ),
            *installed,
        ),
    )


def _computer() -> Section:
    folder = cache_folder()
    files = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    engines = get_args(get_type_hints(EngineOptions)["engine"])
    return Section(
        title="This computer",
        values=(
            Value(name="CPUs usable", value=_usable_cpus(), origin="exact"),
            Value(
                name="engines", value=", ".join(engines), origin="exact", source=f"default: {EngineOptions().engine}"
            ),
            Value(name="kernel cache", value=str(folder), origin="exact"),
            Value(
                name="kernel cache size",
                value=sum(files),
                unit="bytes",
                origin="measured here",
                source=f"{len(files)} files",
            ),
        ),
    )


def _profiles() -> Section:
    columns = (
        Column(name="profile"),
        Column(name="ranks"),
        Column(name="DPUs"),
        Column(name="clock", unit="MHz"),
        *(Column(name=provenance, unit="values") for provenance in get_args(Provenance)),
    )
    return Section(
        title="Hardware profiles",
        tables=(Table(title="", columns=columns, rows=tuple(map(_profile_row, available_profiles()))),),
        notes=("`pim info --profile NAME` shows every value with its source.",),
    )


def _profile_row(name: str) -> tuple[Cell, ...]:
    hardware = load_profile(name)
    return (
        name,
        hardware.geometry.ranks,
        hardware.geometry.dpus,
        hardware.pipeline.clock_mhz,
        *_provenance_counts(hardware.provenance),
    )


def _other_machines() -> Section:
    columns = (
        Column(name="profile"),
        Column(name="of a"),
        *(Column(name=provenance, unit="values") for provenance in get_args(Provenance)),
    )
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (name, folder.what, *_provenance_counts(folder.load(name).provenance))
        for folder in _other_folders()
        for name in folder.available()
    )
    return Section(title="Profiles of other machines", tables=(Table(title="", columns=columns, rows=rows),))


def _other_folders() -> tuple[ProfileFolder[Any], ...]:
    from host.machines.folders import machine_folders

    return machine_folders()


def _provenance_counts(quantities: Sequence[Quantity]) -> tuple[int, ...]:
    """How many values have each provenance."""
    counts = Counter(quantity.provenance for quantity in quantities)
    return tuple(counts[provenance] for provenance in get_args(Provenance))


def _profile_section(quantities: Sequence[Quantity]) -> Section:
    columns = tuple(Column(name=name) for name in ("key", "value", "unit", "provenance", "source"))
    return Section(
        title=f"{len(quantities)} values",
        tables=(
            Table(title="", columns=columns, rows=tuple(map(_quantity_row, quantities))),
            *(_times_table(q, q.value) for q in quantities if isinstance(q.value, CallTimes)),
        ),
    )


def _quantity_row(quantity: Quantity) -> tuple[Cell, ...]:
    return quantity.key, _value_cell(quantity.value), quantity.unit, quantity.provenance, quantity.source


def _value_cell(value: QuantityValue) -> Cell:
    match value:
        case CallTimes():
            return f"{len(value.dpus)} x {len(value.bytes_per_dpu)} times, below"
        case tuple():
            return " ".join(f"{x}:{y}" for x, y in value)
        case _:
            return value


def _times_table(quantity: Quantity, table: CallTimes) -> Table:
    columns = (Column(name="DPUs"), *(Column(name=f"{size:,} B") for size in table.bytes_per_dpu))
    rows: list[tuple[Cell, ...]] = [(dpus, *times) for dpus, times in zip(table.dpus, table.times, strict=True)]
    title = f"Time of one call by DPUs and bytes per DPU, in {quantity.unit}: {quantity.key}"
    return Table(title=title, columns=columns, rows=tuple(rows))


def _kernels() -> Section:
    columns = (Column(name="module"), Column(name="what it holds"))
    return Section(title="Shipped kernels", tables=(Table(title="", columns=columns, rows=tuple(_kernel_rows())),))


def _kernel_rows() -> Iterator[tuple[Cell, ...]]:
    """(module, first line of its docstring) of every module of dpu_kernels, read and not imported."""
    spec = find_spec("dpu_kernels")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for path in sorted(Path(folder).rglob("*.py")):
            if path.stem != "__init__":
                summary = ast.get_docstring(ast.parse(path.read_bytes())) or ""
                yield ".".join(path.relative_to(Path(folder).parent).with_suffix("").parts), summary.partition("\n")[0]


def _usable_cpus() -> int:
    """CPUs that this process may use; the affinity mask is smaller than the machine in containers and job systems."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
