"""`pim attention`: decode attention on emulated DPUs, on real activations or made-up integers, checked in full."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ..device.run_record import MAX_TASKLETS
from ..machine import Machine
from .attention_report import accuracy_section, emulation_section, time_section, workload_section
from .attention_table import run_table
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
    from host.attention.partition import Partition
    from host.attention.workload import Workload

__all__ = ["HELP", "NAME", "add_arguments", "run"]

NAME = "attention"
HELP = "run decode attention on emulated DPUs and check every element"

# What one run takes where nothing is given. `--table` runs the published program, of every dtype and batch.
DEFAULTS = {
    "batch": 32,
    "dtype": "int8",
    "norm": "softmax",
    "acc": "wide",
    "exponential": "lut256_lerp",
    "seed": 0,
    "layout": "block",
    "local_cpu": "on",
}
DTYPES = ("int4", "int8", "int16", "int32")
NORMS = ("div_d", "zscore", "zscore_linear", "softmax", "softmax_online")
EXPONENTIALS = ("lut256_lerp", "lut256_mid", "lut256_floor", "poly2", "poly3", "iexp")
MADE_UP = {"heads": 32, "dim": 128, "len": 4096}  # the shape of the published measurements
# What quantising the shipped sample may cost in relative L2 error of plain attention: (mean, worst) over its heads.
SAMPLE_ERROR_LIMITS = {"int4": (0.2, 0.4), "int8": (0.016, 0.026), "int16": (2e-4, 2e-4), "int32": (2e-4, 2e-4)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Operands, kernel and machine. Without operands the shipped activations are used."""
    default = "(default: %(default)s)"
    operands = parser.add_argument_group("operands", "real, or made-up integers if any of --data to --len is given")
    operands.add_argument(
        "--kv", metavar="FILE.npz", help="q [layers, heads, tokens, dim], k and v alike (default: the sample)"
    )
    operands.add_argument("--batch", type=int, help=f"requests that decode together (default: {DEFAULTS['batch']})")
    operands.add_argument("--data", choices=("ones", "random"), help="values of made-up integers (default: random)")
    operands.add_argument("--heads", type=int, help=f"heads of made-up requests (default: {MADE_UP['heads']})")
    operands.add_argument("--kv-heads", type=int, help="heads of K and V, which the heads share (default: --heads)")
    operands.add_argument("--dim", type=int, help=f"elements of a made-up head (default: {MADE_UP['dim']})")
    operands.add_argument("--len", type=int, help=f"tokens of a made-up context (default: {MADE_UP['len']})")
    operands.add_argument("--seed", type=int, help=f"of random data (default: {DEFAULTS['seed']})")
    kernel = parser.add_argument_group("kernel")
    kernel.add_argument("--dtype", choices=DTYPES, help=f"type of K and V (default: {DEFAULTS['dtype']})")
    kernel.add_argument("--norm", choices=NORMS, help=f"normalisation (default: {DEFAULTS['norm']})")
    kernel.add_argument("--acc", choices=("wrap", "wide"), help=f"accumulators (default: {DEFAULTS['acc']})")
    kernel.add_argument("--tasklets", type=int, default=17, help=f"2 to {MAX_TASKLETS} {default}")
    kernel.add_argument("--exponential", choices=EXPONENTIALS, help=f"of softmax (default: {DEFAULTS['exponential']})")
    kernel.add_argument("--window", type=int, help="tokens that a query sees at most (default: all)")
    kernel.add_argument("--biases", choices=("none", "alibi"), default="none", help=f"added to scores {default}")
    table = parser.add_argument_group("published measurements")
    table.add_argument(
        "--table", action="store_true", help="compare with the published cells, all or those of --dtype and --batch"
    )
    table.add_argument(
        "--local-cpu", choices=("on", "off"), help=f"measure this CPU, too (default: {DEFAULTS['local_cpu']})"
    )
    machine = parser.add_argument_group("machine")
    machine.add_argument("--dpus", type=int, help="how many DPUs may be used (default: all of the profile)")
    machine.add_argument("--split", type=_parts, default=1, metavar="N|fill", help=f"DPUs per KV head {default}")
    machine.add_argument(
        "--layout", choices=("block", "interleave"), help=f"of a split (default: {DEFAULTS['layout']})"
    )
    machine.add_argument("--paging", choices=("contiguous", "paged"), default="contiguous", help=f"of K, V {default}")
    add_machine_options(machine)
    add_timing_options(machine)
    machine.add_argument("--engine", choices=("compiled", "interpreted"), default="compiled", help=default)
    add_report_arguments(parser)


def run(arguments: argparse.Namespace) -> Report:
    """Run and verify. Raises PimError, ValueError or OSError for what cannot be run."""
    if arguments.table:
        refuse_without_timeline(arguments, "a table has many runs; leave out --table, and run one of its cells")
        return run_table(arguments)
    from host.attention.experiment import run_workload
    from host.attention.verification import nr_contexts, verify

    given, arguments = arguments, _with_defaults(arguments)
    _refuse_without_effect(given, arguments.norm)
    check_report_arguments(arguments)
    machine = timed_machine(arguments, chosen_hardware(arguments))
    workload = _workload(arguments)
    with progress("attention", total=len(workload.queries)) as advance:
        outcome = run_workload(
            workload,
            partition=_partition(arguments, workload, machine),
            paging=arguments.paging,
            nr_dpus=arguments.dpus,
            nr_tasklets=arguments.tasklets,
            machine=machine,
            options=chosen_options(arguments, engine=arguments.engine),
            advance=advance,
        )
    with progress("checking", total=nr_contexts(workload)) as advance:
        verification = verify(workload, outcome, advance=advance)
    spec = workload.spec
    known = arguments.kv is None and workload.origin is not None and not (spec.window or spec.alibi_slopes)
    limits = SAMPLE_ERROR_LIMITS[spec.dtype] if known else None
    everything = outcome.timeline.rows
    decoding = everything[outcome.decode_rows :]
    return Report(
        title="Decode attention on emulated DPUs",
        sections=(
            workload_section(workload, outcome, arguments),
            accuracy_section(verification, limits),
            time_section(workload, outcome, machine.hardware, arguments),
            *report_sections(arguments, decoding, machine.hardware),
            emulation_section(workload, outcome, arguments),
            *write_reports(arguments, decoding, machine.hardware, traced=everything),
        ),
    )


def _refuse_without_effect(given: argparse.Namespace, norm: str) -> None:
    """Refuse options that nothing would come of with the others."""
    softmax = norm.startswith("softmax")
    made_up = any(getattr(given, name) is not None for name in ("data", "kv_heads", *MADE_UP))
    for option, value, effective, needed in (
        ("--exponential", given.exponential, softmax, f"{norm} has no exponentials, --norm softmax has"),
        ("--layout", given.layout, given.split != 1, "heads that are not split have no layout: give --split, too"),
        ("--seed", given.seed, made_up and given.data != "ones", "only random data have a seed: give --data random"),
        ("--local-cpu", given.local_cpu, given.table, "only --table measures this CPU"),
    ):
        if value is not None and not effective:
            raise ValueError(f"{option} {value}: {needed}")


def _with_defaults(arguments: argparse.Namespace) -> argparse.Namespace:
    given = {name: value for name, value in vars(arguments).items() if value is not None}
    return argparse.Namespace(**{**vars(arguments), **DEFAULTS, **given})


def _workload(arguments: argparse.Namespace) -> Workload:
    from host.attention.samples import load_operands, shipped_operands
    from host.attention.workload import Method, real_workload, synthetic_workload

    shape = {name: getattr(arguments, name) for name in (*MADE_UP, "kv_heads")}
    sizes = {name: getattr(arguments, name) for name in ("batch", "window", "dpus")}
    for name, value in {**sizes, **shape}.items():
        if value is not None and value < 1:
            raise ValueError(f"--{name.replace('_', '-')} {value}: at least 1")
    if arguments.seed < 0:
        raise ValueError(f"--seed {arguments.seed}: at least 0")
    method = Method(
        dtype=arguments.dtype,
        norm=arguments.norm,
        acc=arguments.acc,
        exponential=arguments.exponential,
        window=arguments.window,
        biases=arguments.biases,
    )
    if arguments.data is None and all(value is None for value in shape.values()):
        real = shipped_operands() if arguments.kv is None else load_operands(arguments.kv)
        return real_workload(real, method, batch=arguments.batch)
    if arguments.kv is not None:
        raise ValueError("--kv brings its own data and shape: leave out --data, --heads, --kv-heads, --dim and --len")
    return synthetic_workload(
        method,
        batch=arguments.batch,
        heads=shape["heads"] or MADE_UP["heads"],
        kv_heads=shape["kv_heads"],
        tokens=shape["len"] or MADE_UP["len"],
        dim=shape["dim"] or MADE_UP["dim"],
        data=arguments.data or "random",
        seed=arguments.seed,
    )


def _parts(text: str) -> int | str:
    """The value of --split."""
    if text == "fill":
        return text
    if text.isdecimal() and int(text) >= 1:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r}: a number of DPUs, at least 1, or 'fill'")


def _partition(arguments: argparse.Namespace, workload: Workload, machine: Machine) -> Partition:
    from host.attention.attention_set import parts_to_fill
    from host.attention.partition import Partition

    parts = arguments.split
    if parts == "fill":
        nr_dpus = machine.free_dpus if arguments.dpus is None else arguments.dpus
        parts = parts_to_fill(workload.spec, batch=workload.batch, nr_dpus=nr_dpus)
    return Partition(parts, arguments.layout)
