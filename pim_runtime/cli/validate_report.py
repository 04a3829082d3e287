"""The report of `pim validate`: errors by group with their targets, the cells of PIM attention, and every point."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..timing import Clock
from .output import Cell, Check, Column, Section, Table, Value

if TYPE_CHECKING:
    from host.calibration.errors import ComparedPoint, GroupErrors
    from host.calibration.kernel_points import KernelRun
    from host.calibration.targets import Target

__all__ = ["about_section", "attention_section", "kernel_section", "points_section", "transfer_section"]

PERCENT = 100
DECIMALS = 2  # of an error in percent

_ERROR_COLUMNS = (
    Column(name="points"),
    Column(name="mean error", unit="%", origin="modelled"),
    Column(name="worst", unit="%", origin="modelled"),
    Column(name="bias", unit="%", origin="modelled"),
    Column(name="target"),
    Column(name="worst point"),
)


def kernel_section(runs: Sequence[KernelRun]) -> Section:
    """Vector add, reduction and scan: by kernel and tasklets, and by type."""
    from host.calibration.targets import TARGET_TASKLETS, kernel_target

    points, wrong = [run.compared for run in runs], sum(run.wrong_elements for run in runs)

    def target(group: tuple[str, ...]) -> Target | None:
        counts, _, tasklets = group
        return kernel_target(counts) if tasklets == str(TARGET_TASKLETS) else None  # type: ignore[arg-type]

    by_kernel, checks = _error_table(
        "By kernel and tasklets", ("counts", "kernel", "tasklets"), points, _counts_kernel_tasklets, target
    )
    by_type, _ = _error_table(
        "By type of the elements, all tasklets", ("counts", "type"), points, lambda p: (p.model, p.point.dtype), _none
    )
    equal = Check(name="results equal numpy's", passed=wrong == 0, detail=f"{wrong} wrong elements in {len(runs)} runs")
    notes = (
        "Published: measured on hardware, one DPU. Modelled: the kernel written in this project's language, run here.",
        "Counts are automatic, by the compiler as for any kernel, or those of the DPU compiler's published listing.",
        "The constants of DMA, pipeline and launch were fitted to these runs with the listing's counts.",
        "The rules of the automatic counts were read from these listings; no number of theirs was fitted to a time.",
        "The reduction of u64 is listed with 9 slots per element; stated are the 10 that its measured slopes fit.",
    )
    return Section(title="Kernels", tables=(by_kernel, by_type), notes=notes, checks=(equal, *checks))


def transfer_section(points: Sequence[ComparedPoint]) -> Section:
    """Host transfers by machine, direction and kind of number."""
    from host.calibration.targets import TRANSFER_TARGET

    table, checks = _error_table(
        "By machine and direction",
        ("profile", "direction", "published as"),
        points,
        lambda p: (p.model, p.point.kernel, p.point.kind),
        lambda group: TRANSFER_TARGET,
    )
    notes = (
        "Each profile was made from the points of its machine: errors say how well its form fits them.",
        "cnm-2025 has these values as a table, so 0 says that the table is reproduced, and nothing about other sizes.",
        "fit: values of the source's regression, itself 7 to 9 % (relative RMS) from its measurements.",
        "literature: read from a figure of a paper.",
    )
    return Section(title="Host transfers", tables=(table,), notes=notes, checks=checks)


def attention_section(points: Sequence[ComparedPoint], machines: Sequence[str]) -> Section:
    """The published cells, one row each, on the machine with nothing fitted to them and on the one that has."""
    from host.calibration.errors import grouped
    from host.calibration.targets import ATTENTION_TARGET

    unfitted, fitted = machines
    columns = [
        Column(name="type"),
        Column(name="batch"),
        Column(name="DPUs"),
        Column(name="PIM attention", unit="ms", origin="published"),
    ]
    for machine in machines:
        columns += [
            Column(name=machine, unit="ms", origin="modelled"),
            Column(name=f"{machine}, error", unit="%", origin="modelled"),
        ]
    rows = []
    for of_machines in grouped(points, lambda p: p.point.name).values():
        published = of_machines[0].point
        row: list[Cell] = [published.dtype, published.size("batch"), published.nr_dpus, published.value]
        for compared in of_machines:
            row += [compared.modelled, round(PERCENT * compared.error, DECIMALS)]
        rows.append(tuple(row))
    cells = Table(title="Push, run and pull of one decode step", columns=tuple(columns), rows=tuple(rows))
    table, checks = _error_table(
        "By machine and type",
        ("profile", "type"),
        points,
        lambda p: (p.model, p.point.dtype),
        lambda group: ATTENTION_TARGET if group[0] == unfitted else None,
    )
    notes = (
        f"{unfitted}: no constant of the kernel, of transfers or of a launch of one rank comes from these cells.",
        f"{unfitted}: the 20 us that every further rank adds to a launch are assumed after the growth of these cells.",
        f"{fitted}: the same work; what every further rank adds to each host call is read from these cells.",
        "Instructions are counted automatically, and multiplies from the data, which are all 1.",
    )
    return Section(title="PIM attention", tables=(cells, table), notes=notes, checks=checks)


def points_section(points: Sequence[ComparedPoint]) -> Section:
    """Every point, none left out."""
    columns = (
        Column(name="point"),
        Column(name="model"),
        Column(name="kind"),
        Column(name="unit"),
        Column(name="published", origin="published"),
        Column(name="modelled", origin="modelled"),
        Column(name="error", unit="%", origin="modelled"),
    )
    rows = tuple(
        (
            compared.point.name,
            compared.model,
            compared.point.kind,
            compared.point.unit,
            compared.point.value,
            compared.modelled,
            round(PERCENT * compared.error, DECIMALS),
        )
        for compared in points
    )
    return Section(title="Every point", tables=(Table(title="", columns=columns, rows=rows),))


def about_section(points: Sequence[ComparedPoint], clock: Clock) -> Section:
    """How many numbers of which kind, where they were published, and how kernel time was modelled."""
    distinct = {compared.point.name: compared.point for compared in points}.values()
    kinds = Counter(point.kind for point in distinct)
    sources = Counter(point.source for point in distinct)
    values = (
        Value(name="points", value=len(distinct), origin="exact"),
        *(Value(name=f"of them {kind}", value=count, origin="exact") for kind, count in kinds.items()),
    )
    notes = (
        f"Kernel time: the {clock} form.",
        *(f"Published: {source}, {count} points." for source, count in sources.items()),
        "Error: modelled / published - 1. Mean and worst are of its size, bias is with sign.",
    )
    return Section(title="About these numbers", values=values, notes=notes)


def _counts_kernel_tasklets(compared: ComparedPoint) -> tuple[str, str, str]:
    nr_tasklets = compared.point.nr_tasklets
    assert nr_tasklets is not None
    return compared.model, compared.point.kernel, str(nr_tasklets) if nr_tasklets > 4 else "1 to 4"


def _none(group: tuple[str, ...]) -> None:
    """No target."""


def _error_table(
    title: str,
    names: Sequence[str],
    points: Sequence[ComparedPoint],
    key: Callable[[ComparedPoint], tuple[str, ...]],
    target_of: Callable[[tuple[str, ...]], Target | None],
) -> tuple[Table, tuple[Check, ...]]:
    """A row per group, and a check per group that has a target."""
    from host.calibration.errors import group_errors, grouped

    rows: list[tuple[Cell, ...]] = []
    checks = []
    for group, members in sorted(grouped(points, key).items()):
        errors, target = group_errors(members), target_of(group)
        rows.append((*group, *_error_cells(errors), str(target) if target else None, errors.worst.point.name))
        if target:
            detail = f"mean {errors.mean:.2%}, worst {errors.worst_error:.2%}; target: {target}"
            checks.append(Check(name=" ".join(group), passed=target.is_met(errors), detail=detail))
    columns = (*(Column(name=name) for name in names), *_ERROR_COLUMNS)
    return Table(title=title, columns=columns, rows=tuple(rows)), tuple(checks)


def _error_cells(errors: GroupErrors) -> tuple[Cell, ...]:
    of_size = (errors.mean, errors.worst_error, errors.bias)
    return errors.size, *(round(PERCENT * error, DECIMALS) for error in of_size)
