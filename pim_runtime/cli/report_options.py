"""Options for any command with a timeline: where the time goes, source lines, roofline, trace and plots.

Owns the options, their tables and the names of the files; `report` computes what they show.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..hardware import Hardware
from ..lines import LineProfile
from ..timeline import Row
from ..timing import LaunchWork
from .files import writable_file, writable_folder
from .output import Column, Section, Table

if TYPE_CHECKING:
    from ..report.trace import Expand

__all__ = [
    "add_report_arguments",
    "check_report_arguments",
    "plot_speedups",
    "refuse_without_timeline",
    "report_sections",
    "write_reports",
]

NR_LINES = 20
PS_PER_US = 1_000_000
EXPANSIONS: tuple[Literal["ranks", "slowest", "dpus", "tasklets"], ...] = ("ranks", "slowest", "dpus", "tasklets")


def add_report_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options. All are off by default."""
    group = parser.add_argument_group("reports", "of the modelled time")
    group.add_argument("--breakdown", action="store_true", help="time by reason, instructions by class")
    group.add_argument(
        "--lines",
        type=int,
        nargs="?",
        const=NR_LINES,
        metavar="N",
        help=f"the N source lines of the kernels with the most instructions (default: {NR_LINES})",
    )
    group.add_argument("--roofline", action="store_true", help="instructions per second against the limits of a DPU")
    group.add_argument("--trace", type=writable_file, metavar="FILE", help="write a trace for ui.perfetto.dev")
    group.add_argument(
        "--expand",
        type=_expansion,
        metavar="WHAT",
        help=f"DPUs with tracks in the trace: {', '.join(EXPANSIONS)}, or numbers such as 0,64 (default: slowest)",
    )
    group.add_argument(
        "--plot", type=_plot_folder, metavar="FOLDER", help="write plots, as SVG files (needs matplotlib)"
    )


def report_sections(arguments: argparse.Namespace, rows: Sequence[Row], hardware: Hardware) -> tuple[Section, ...]:
    """The sections that were asked for, about some rows of a timeline."""
    sections = []
    if arguments.breakdown:
        sections.append(_breakdown_section(rows, hardware))
    if arguments.lines is not None:
        sections.append(_lines_section(rows, hardware, arguments.lines))
    if arguments.roofline:
        sections.append(_roofline_section(rows, hardware))
    return tuple(sections)


def write_reports(
    arguments: argparse.Namespace, rows: Sequence[Row], hardware: Hardware, *, traced: Sequence[Row]
) -> tuple[Section, ...]:
    """Write the plots of `rows` and the trace of `traced`, if asked for; a section that names the files, or none.

    Raises ValueError for DPUs to expand that there are not, and OSError for a file that cannot be written.
    """
    from ..report.trace import write_trace

    files = []
    if arguments.trace is not None:
        write_trace(arguments.trace, traced, hardware, expand=arguments.expand or "slowest")
        files.append(f"trace, for ui.perfetto.dev: {arguments.trace}")
    if arguments.plot is not None:
        files += [f"plot: {path}" for path in _write_plots(arguments.plot, rows, hardware)]
    return (Section(title="Files", notes=tuple(files)),) if files else ()


def check_report_arguments(arguments: argparse.Namespace) -> None:
    """Raise ValueError, before the work starts, for options that nothing would come of."""
    if arguments.expand is not None and arguments.trace is None:
        raise ValueError("--expand: only a trace has tracks to expand; give --trace FILE, too")
    if arguments.lines is not None and arguments.lines < 1:
        raise ValueError(f"--lines {arguments.lines}: at least 1")


def refuse_without_timeline(arguments: argparse.Namespace, why: str) -> None:
    """Raise ValueError if a report of one timeline is asked for, but `--plot` is not such a one."""
    for name in ("breakdown", "lines", "roofline", "trace", "expand"):
        if getattr(arguments, name) not in (None, False):
            raise ValueError(f"--{name}: {why}")


def plot_speedups(folder: Path, name: str, table: Table, caption: str) -> None:
    """Write `speedup-<name>.svg`: the columns of a table against its first, each with its origin."""
    from ..report.canvas import save_plot
    from ..report.plots import Curve, speedup_plot

    curves = [
        Curve(
            name=column.name,
            origin=column.origin or "",
            points=tuple((float(str(row[0])), float(str(row[index]))) for row in table.rows if row[index] is not None),
        )
        for index, column in enumerate(table.columns)
        if index
    ]
    figure = speedup_plot([curve for curve in curves if curve.points], title=f"{name}: {table.title}", caption=caption)
    save_plot(figure, folder / f"speedup-{name}.svg")


def _breakdown_section(rows: Sequence[Row], hardware: Hardware) -> Section:
    from ..report.breakdown import evidence, instruction_mix, reason_name, reason_times

    times, mix, known = reason_times(rows), instruction_mix(rows, hardware), evidence(rows, hardware)
    total_ps = sum(times.values())
    reasons = Table(
        title="Time by reason; of a launch, that of its slowest DPU",
        columns=(
            Column(name="reason"),
            Column(name="time", unit="us", origin="modelled"),
            Column(name="share", unit="%", origin="modelled"),
        ),
        rows=tuple(
            (reason_name(reason), time_ps / PS_PER_US, _percent(time_ps, total_ps)) for reason, time_ps in times.items()
        ),
    )
    classes = Table(
        title="Instructions of all DPUs by class",
        columns=(
            Column(name="class"),
            Column(name="operations", origin="modelled"),
            Column(name="issue slots", origin="modelled"),
            Column(name="share", unit="%", origin="modelled"),
        ),
        rows=tuple((one.name, one.operations, one.slots, _percent(one.slots, known.slots)) for one in mix),
    )
    stated, inferred = _percent(known.stated, known.slots), _percent(known.inferred, known.slots)
    note = (
        f"Of {known.slots:,} issue slots, the kernels' authors state {stated:.1f} %. {inferred:.1f} % depend on data "
        "that were counted on other DPUs only, or assumed. The rest was counted where it ran."
    )
    return Section(title="Where the time goes", tables=(reasons, classes), notes=(note,) if known.slots else ())


def _lines_section(rows: Sequence[Row], hardware: Hardware, nr_lines: int) -> Section:
    from ..report.line_table import line_costs

    works = [row.work for row in rows if isinstance(row.work, LaunchWork)]
    costs = line_costs(LineProfile.merged(profile for work in works for profile in work.lines), hardware, top=nr_lines)
    table = Table(
        title="Source lines with the most issue slots, all DPUs and tasklets together",
        columns=(
            Column(name="line"),
            Column(name="source"),
            Column(name="issue slots", origin="modelled"),
            Column(name="share", unit="%", origin="modelled"),
            Column(name="DMAs", origin="modelled"),
            Column(name="of bytes", unit="B", origin="modelled"),
            Column(name="DMA engine", unit="cycles", origin="modelled"),
            Column(name="multiplies", origin="modelled"),
        ),
        rows=tuple(
            (
                cost.place,
                cost.text,
                cost.slots,
                float(100 * cost.share),
                cost.dmas,
                cost.dma_bytes,
                cost.engine_cycles,
                cost.multiplies,
            )
            for cost in costs
        ),
    )
    if not costs:
        return Section(title="Source lines", notes=("No line was counted in these launches.",))
    return Section(title="Source lines", tables=(table,), notes=("Multiplies of 8 bits are single instructions.",))


def _roofline_section(rows: Sequence[Row], hardware: Hardware) -> Section:
    from ..report.roofline import roofline

    largest = hardware.dma.max_bytes
    table = Table(
        title="The slowest DPU of every launch",
        columns=(
            Column(name="kernel"),
            Column(name="tasklets", origin="exact"),
            Column(name="intensity", unit="1/B", origin="modelled"),
            Column(name="achieved", unit="M/s", origin="modelled"),
            Column(name="roof", unit="M/s", origin="modelled"),
            Column(name="limited by"),
            Column(name="pipeline", unit="M/s", origin="modelled"),
            Column(name="mean DMA", unit="B", origin="modelled"),
            Column(name="DMAs so", unit="MB/s", origin="modelled"),
            Column(name=f"DMAs of {largest} B", unit="MB/s", origin="modelled"),
        ),
        rows=tuple(
            (
                point.name,
                point.nr_tasklets,
                point.intensity if point.mram_bytes else None,
                point.instructions_per_s / 1e6,
                point.roof_per_s / 1e6,
                point.limit,
                point.ceiling_per_s / 1e6,
                point.dma_bytes_mean,
                point.bandwidth / 1e6,
                point.best_bandwidth / 1e6,
            )
            for point in roofline(rows, hardware)
        ),
    )
    notes = (
        "Intensity is instructions per MRAM byte; M/s are millions of instructions per second of one DPU.",
        "The roof is the lower of what the pipeline issues with these tasklets, and intensity times MB/s of DMAs so.",
    )
    return Section(title="Roofline", tables=(table,), notes=notes)


def _write_plots(folder: Path, rows: Sequence[Row], hardware: Hardware) -> list[Path]:
    """The plots that the rows have something for."""
    from ..report.canvas import save_plot
    from ..report.plots import breakdown_plot, heat_map_plot, roofline_plot
    from ..report.roofline import roofline

    figures = {}
    if any(row.duration_ps for row in rows):
        figures["breakdown"] = breakdown_plot(rows, hardware)
    points = roofline(rows, hardware)
    if any(point.mram_bytes for point in points):
        figures["roofline"] = roofline_plot(points, hardware)
    launches = [row for row in rows if isinstance(row.work, LaunchWork)]
    if launches:
        figures["dpus"] = heat_map_plot(max(launches, key=lambda row: row.duration_ps), hardware)
    for name, figure in figures.items():
        save_plot(figure, folder / f"{name}.svg")
    return [folder / f"{name}.svg" for name in figures]


def _percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole else 0.0


def _expansion(text: str) -> Expand:
    """The value of --expand."""
    for expansion in EXPANSIONS:
        if text == expansion:
            return expansion
    numbers = text.split(",")
    if all(number.isdecimal() for number in numbers):
        return [int(number) for number in numbers]
    raise argparse.ArgumentTypeError(f"{text!r}: {', '.join(EXPANSIONS)}, or numbers of DPUs such as 0,64")


def _plot_folder(text: str) -> Path:
    """The value of --plot; a missing package is found here, before the work, and not after it."""
    if find_spec("matplotlib") is None:
        raise argparse.ArgumentTypeError("plots need matplotlib: pip install 'pim-runtime[report]'")
    return writable_folder(text)
