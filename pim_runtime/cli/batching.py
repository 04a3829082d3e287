"""`pim batching`: requests of all lengths come and go on a KV cache in emulated DPUs, contiguous and paged, checked."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ..device.run_record import MAX_TASKLETS
from .attention import DTYPES, NORMS
from .batching_report import check_section, memory_section, time_section, trace_section
from .machine_options import add_machine_options, chosen_hardware
from .output import Report
from .progress import progress
from .report_options import (
    add_report_arguments,
    check_report_arguments,
    refuse_without_timeline,
    report_sections,
    write_reports,
)
from .timing_options import add_timing_options, chosen_options, timed_machine

if TYPE_CHECKING:
    from host.attention.layout import Paging
    from host.attention.trace import Trace

__all__ = ["HELP", "NAME", "add_arguments", "run"]

NAME = "batching"
HELP = "serve requests that join, grow and leave on a KV cache in emulated DPUs, and check every answer"

PAGINGS: dict[str, tuple[Paging, ...]] = {
    "both": ("contiguous", "paged"),
    "contiguous": ("contiguous",),
    "paged": ("paged",),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Requests, kernel and machine. The default machine is too small for all requests at the same time."""
    default = "(default: %(default)s)"
    trace = parser.add_argument_group("requests", "made up from the seed")
    trace.add_argument("--requests", type=int, default=100, help=f"how many {default}")
    trace.add_argument("--len", type=int, default=4096, help=f"tokens of a context at most {default}")
    trace.add_argument("--new-tokens", type=int, default=32, help=f"tokens that a request decodes at most {default}")
    trace.add_argument(
        "--arrivals", type=float, default=4.0, help=f"requests that arrive per step, on average {default}"
    )
    trace.add_argument("--heads", type=int, default=4, help=f"query heads {default}")
    trace.add_argument("--kv-heads", type=int, default=2, help=f"heads of K and V {default}")
    trace.add_argument("--dim", type=int, default=16, help=f"elements of a head {default}")
    trace.add_argument("--seed", type=int, default=0, help=f"of lengths, arrivals and data {default}")
    kernel = parser.add_argument_group("kernel")
    kernel.add_argument("--dtype", choices=DTYPES, default="int8", help=f"type of K and V {default}")
    kernel.add_argument("--norm", choices=NORMS, default="softmax", help=f"normalisation {default}")
    kernel.add_argument("--tasklets", type=int, default=17, help=f"2 to {MAX_TASKLETS} {default}")
    machine = parser.add_argument_group("machine")
    machine.add_argument("--paging", choices=tuple(PAGINGS), default="both", help=f"how K and V are kept {default}")
    machine.add_argument("--dpus", type=int, default=4, help=f"that hold the cache {default}")
    machine.add_argument("--mram-kib", type=int, default=512, help=f"MRAM of a DPU, in KiB {default}")
    add_machine_options(machine)
    add_timing_options(machine)
    add_report_arguments(parser)


def run(arguments: argparse.Namespace) -> Report:
    """Serve and verify. Raises PimError, ValueError or OSError for what cannot be served."""
    from host.attention.batching_experiment import References, run_batching

    _check_reports(arguments)
    hardware = chosen_hardware(arguments).with_values({"dpu.mram_bytes": arguments.mram_kib << 10})
    trace = _trace(arguments)
    references = References(trace, nr_tasklets=arguments.tasklets)
    outcomes = {}
    for paging in PAGINGS[arguments.paging]:
        with progress(paging, total=trace.new_tokens) as advance:
            outcomes[paging] = run_batching(
                trace,
                references,
                paging=paging,
                nr_dpus=arguments.dpus,
                nr_tasklets=arguments.tasklets,
                machine=timed_machine(arguments, hardware),
                options=chosen_options(arguments),
                advance=advance,
            )
    timelines = [outcome.timeline.rows for outcome in outcomes.values()]
    return Report(
        title="Continuous batching on a KV cache in emulated DPUs",
        sections=(
            trace_section(trace, arguments),
            time_section(outcomes, hardware, arguments),
            *(section for rows in timelines for section in report_sections(arguments, rows, hardware)),
            memory_section(outcomes),
            check_section(outcomes),
            *(section for rows in timelines for section in write_reports(arguments, rows, hardware, traced=rows)),
        ),
    )


def _check_reports(arguments: argparse.Namespace) -> None:
    """Refuse reports of one timeline about two."""
    check_report_arguments(arguments)
    if len(PAGINGS[arguments.paging]) > 1:
        why = "each paging has a timeline; give --paging contiguous or --paging paged, too"
        refuse_without_timeline(arguments, why)
        if arguments.plot is not None:
            raise ValueError(f"--plot: {why}")


def _trace(arguments: argparse.Namespace) -> Trace:
    from host.attention.trace import random_trace
    from host.attention.workload import HeadShape, Method, synthetic_spec

    shape = HeadShape(arguments.heads, arguments.kv_heads, arguments.dim, arguments.len)
    return random_trace(
        synthetic_spec(Method(dtype=arguments.dtype, norm=arguments.norm), shape),
        requests=arguments.requests,
        new_tokens=arguments.new_tokens,
        arrivals_per_step=arguments.arrivals,
        seed=arguments.seed,
    )
