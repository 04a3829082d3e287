"""`pim attacc run`: an AttAcc device executes decode attention on random integers, command by command."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from ..output_file import replaced
from .attacc_options import add_pim_options, chosen_pim_profile
from .attacc_run_report import answers_section, commands_section, device_section, reading_section, time_section
from .files import writable_file
from .model_options import count
from .output import Report, Section, Value
from .progress import progress

if TYPE_CHECKING:
    from host.attacc.device.experiment import DeviceOutcome
    from host.attention.answers import Answers
    from host.attention.workload import Workload
    from host.machines.hbm_pim import HbmPim

__all__ = ["HELP", "NAME", "add_arguments", "run"]

Engine: TypeAlias = Literal["compiled", "interpreted"]

NAME = "run"
HELP = "execute attention on the functional device, and check integers, commands and time"

DEFAULTS = {"batch": 4, "heads": 12, "dim": 128, "len": 512, "rows": 1}  # a GPU's share of GPT-3 175B's heads
DTYPES = ("int4", "int8", "int16", "int32")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Sizes of the batch, the device, and what to compare with."""
    default = "(default: %(default)s)"
    sizes = parser.add_argument_group("operands", "random integers, as large as the accumulators allow")
    for name, what in (
        ("batch", "requests"),
        ("heads", "query heads"),
        ("dim", "elements of a head"),
        ("len", "tokens"),
    ):
        sizes.add_argument(f"--{name}", type=count, default=DEFAULTS[name], help=f"{what} {default}")
    sizes.add_argument("--kv-heads", type=count, help="heads of K and V, which the heads share (default: --heads)")
    sizes.add_argument(
        "--dtype", choices=("int4", "int8", "int16", "int32"), default="int16", help=f"of K and V {default}"
    )
    sizes.add_argument("--seed", type=int, default=0, help=default)
    device = parser.add_argument_group("device")
    add_pim_options(device)
    device.add_argument("--stacks", type=count, help="HBM stacks (default: all of the profile)")
    device.add_argument(
        "--rows", type=count, default=DEFAULTS["rows"], help=f"query heads that a row serves once it is read {default}"
    )
    parser.add_argument(
        "--emulator",
        choices=("compiled", "interpreted", "off"),
        default="compiled",
        help=f"compare with the attention kernel on emulated DPUs {default}",
    )
    parser.add_argument(
        "--stream", type=writable_file, metavar="FILE", help="also write the commands of the first channel as text"
    )


def run(arguments: argparse.Namespace) -> Report:
    """Execute and compare. Raises PimError, ValueError or OSError for what cannot be run."""
    from host.attacc.device.experiment import run_on_device
    from host.attention.workload import Method, synthetic_workload

    if arguments.seed < 0:
        raise ValueError(f"--seed {arguments.seed}: at least 0")
    workload = synthetic_workload(
        Method(dtype=arguments.dtype, norm="softmax"),
        batch=arguments.batch,
        heads=arguments.heads,
        kv_heads=arguments.kv_heads,
        tokens=arguments.len,
        dim=arguments.dim,
        data="random",
        seed=arguments.seed,
    )
    with progress("device", total=workload.batch * workload.spec.kv_heads) as advance:
        outcome = run_on_device(workload, _hardware(arguments), reuse_rows=arguments.rows, advance=advance)
    kernel = None if arguments.emulator == "off" else _kernel_answers(workload, arguments.emulator)
    files = (_write_stream(arguments.stream, workload, outcome),) if arguments.stream else ()
    return Report(
        title="AttAcc executes decode attention",
        sections=(
            device_section(workload, outcome),
            answers_section(workload, outcome, kernel),
            commands_section(outcome),
            reading_section(outcome),
            time_section(outcome),
            *files,
        ),
    )


def _hardware(arguments: argparse.Namespace) -> HbmPim:
    from dataclasses import replace

    from host.machines.hbm_pim import hbm_pims

    hardware = hbm_pims().load(chosen_pim_profile(arguments))
    if arguments.stacks is None:
        return hardware
    return replace(hardware, stacks=replace(hardware.stacks, devices=1, stacks_per_device=arguments.stacks))


def _kernel_answers(workload: Workload, engine: Engine) -> Answers:
    from host.attention.attention_set import AttentionSet

    from .. import EngineOptions

    with (
        progress("kernel", total=1) as advance,
        AttentionSet(workload.spec, batch=workload.batch, options=EngineOptions(engine=engine)) as attention,
    ):
        attention.load_kv(workload.k, workload.v)
        answers = attention.decode(workload.queries[0])
        advance(1)
        return answers


def _write_stream(path: Path, workload: Workload, outcome: DeviceOutcome) -> Section:
    from host.attacc.device.listing import listing

    with replaced(path) as file:
        for line in listing(outcome.device.stream(workload.queries[0], stack=0, channel=0)):
            file.write(f"{line}\n".encode())
    return Section(title="Files", values=(Value(name="commands", value=str(path), origin="exact"),))
