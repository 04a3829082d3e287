"""`pim attention`: decode attention on emulated DPUs, on real activations or made-up integers, checked in full."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ..device.run_record import MAX_TASKLETS
from ..engine.protocol import EngineOptions
from ..errors import AllocationError
from ..hardware import load_profile
from ..machine import DEFAULT_PROFILE, Machine
from .attention_report import accuracy_section, emulation_section, time_section, workload_section
from .attention_table import run_table
from .output import Report
from .progress import progress

if TYPE_CHECKING:
    from host.attention.workload import Workload

__all__ = ["HELP", "NAME", "add_arguments", "run"]

NAME = "attention"
HELP = "run decode attention on emulated DPUs and check every element"

# What one run takes where nothing is given. `--table` runs the published program, of every dtype and batch.
DEFAULTS = {"batch": 32, "dtype": "int8", "norm": "softmax", "acc": "wide"}
MADE_UP = {"heads": 32, "dim": 128, "len": 4096}  # the shape of the published measurements
# What quantising the shipped sample may cost in relative L2 error: (mean, worst) over its heads.
SAMPLE_ERROR_LIMITS = {"int8": (0.016, 0.026), "int16": (2e-4, 2e-4), "int32": (2e-4, 2e-4)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Operands, kernel and machine. Without operands the shipped activations are used."""
    default = "(default: %(default)s)"
    operands = parser.add_argument_group("operands", "real, or made-up integers if any of --data to --len is given")
    operands.add_argument("--kv", metavar="FILE.npz", help="q, k, v [layers, heads, tokens, dim] (default: the sample)")
    operands.add_argument("--batch", type=int, help=f"requests that decode together (default: {DEFAULTS['batch']})")
    operands.add_argument("--data", choices=("ones", "random"), help="values of made-up integers (default: random)")
    operands.add_argument("--heads", type=int, help=f"heads of made-up requests (default: {MADE_UP['heads']})")
    operands.add_argument("--dim", type=int, help=f"elements of a made-up head (default: {MADE_UP['dim']})")
    operands.add_argument("--len", type=int, help=f"tokens of a made-up context (default: {MADE_UP['len']})")
    operands.add_argument("--seed", type=int, default=0, help=f"of random data {default}")
    kernel = parser.add_argument_group("kernel")
    kernel.add_argument(
        "--dtype", choices=("int8", "int16", "int32"), help=f"operand type (default: {DEFAULTS['dtype']})"
    )
    kernel.add_argument("--norm", choices=("div_d", "softmax"), help=f"normalisation (default: {DEFAULTS['norm']})")
    kernel.add_argument("--acc", choices=("wrap", "wide"), help=f"accumulators (default: {DEFAULTS['acc']})")
    kernel.add_argument("--tasklets", type=int, default=17, help=f"2 to {MAX_TASKLETS} {default}")
    table = parser.add_argument_group("published measurements")
    table.add_argument(
        "--table", action="store_true", help="compare with the published cells, all or those of --dtype and --batch"
    )
    table.add_argument("--local-cpu", choices=("on", "off"), default="on", help=f"measure this CPU, too {default}")
    machine = parser.add_argument_group("machine")
    machine.add_argument("--dpus", type=int, help="how many DPUs may be used (default: all of the profile)")
    machine.add_argument("--profile", default=DEFAULT_PROFILE, help=f"hardware profile {default}")
    machine.add_argument("--engine", choices=("compiled", "interpreted"), default="compiled", help=default)


def run(arguments: argparse.Namespace) -> Report:
    """Run and verify. Raises PimError, ValueError or OSError for what cannot be run."""
    if arguments.table:
        return run_table(arguments)
    from host.attention.experiment import run_workload
    from host.attention.verification import verify

    arguments = _with_defaults(arguments)
    machine = Machine(load_profile(arguments.profile))
    workload = _workload(arguments)
    _check_dpus(arguments.dpus, workload.batch * workload.heads)
    title = f"attention, {workload.batch * workload.heads} DPUs"
    with progress(title, total=len(workload.queries)) as advance:
        options = EngineOptions(engine=arguments.engine)
        outcome = run_workload(
            workload, nr_tasklets=arguments.tasklets, machine=machine, options=options, advance=advance
        )
    contexts = workload.heads if workload.origin else workload.heads * workload.batch
    with progress("checking", total=contexts) as advance:
        verification = verify(workload, outcome, advance=advance)
    limits = SAMPLE_ERROR_LIMITS[arguments.dtype] if arguments.kv is None and workload.origin else None
    return Report(
        title="Decode attention on emulated DPUs",
        sections=(
            workload_section(workload, outcome, arguments),
            accuracy_section(verification, limits),
            time_section(workload, outcome, machine.hardware),
            emulation_section(workload, outcome, arguments),
        ),
    )


def _with_defaults(arguments: argparse.Namespace) -> argparse.Namespace:
    given = {name: value for name, value in vars(arguments).items() if value is not None}
    return argparse.Namespace(**{**vars(arguments), **DEFAULTS, **given})


def _workload(arguments: argparse.Namespace) -> Workload:
    from host.attention.samples import load_operands, shipped_operands
    from host.attention.workload import real_workload, synthetic_workload

    shape = {name: getattr(arguments, name) for name in MADE_UP}
    for name, value in {"batch": arguments.batch, **shape}.items():
        if value is not None and value < 1:
            raise ValueError(f"--{name} {value}: at least 1")
    if arguments.seed < 0:
        raise ValueError(f"--seed {arguments.seed}: at least 0")
    if arguments.data is None and all(value is None for value in shape.values()):
        real = shipped_operands() if arguments.kv is None else load_operands(arguments.kv)
        return real_workload(real, dtype=arguments.dtype, norm=arguments.norm, acc=arguments.acc, batch=arguments.batch)
    if arguments.kv is not None:
        raise ValueError("--kv brings its own data and shape: leave out --data, --heads, --dim and --len")
    return synthetic_workload(
        batch=arguments.batch,
        heads=shape["heads"] or MADE_UP["heads"],
        tokens=shape["len"] or MADE_UP["len"],
        dim=shape["dim"] or MADE_UP["dim"],
        dtype=arguments.dtype,
        norm=arguments.norm,
        acc=arguments.acc,
        data=arguments.data or "random",
        seed=arguments.seed,
    )


def _check_dpus(allowed: int | None, needed: int) -> None:
    if allowed is not None and needed > allowed:
        raise AllocationError(
            f"batch x heads needs {needed} DPUs, --dpus allows {allowed}: lower --batch, or allow more"
        )
