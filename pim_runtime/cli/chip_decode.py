"""`pim chip decode`: a small model decodes on emulated banks, bit for bit as in NumPy, and all traffic is counted."""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from .chip_decode_report import cache_section, model_section, time_section, tokens_section, traffic_section
from .chip_options import DEFAULT, partition_of
from .machine_options import add_machine_options, chosen_hardware
from .model_options import chosen_model, count
from .output import Report
from .progress import progress
from .timing_options import add_timing_options, chosen_options, timed_machine

if TYPE_CHECKING:
    from host.llm.model import ModelConfig
    from host.machines.kv_placement import KvPlacement

__all__ = ["HELP", "NAME", "add_arguments", "run"]

NAME = "decode"
HELP = "let a small model with made-up weights decode on emulated banks, and check every bit and every transfer"

TOY_SIZES = {
    "layers": "layers",
    "hidden": "elements between layers",
    "heads": "query heads",
    "kv_heads": "heads of K and V",
    "dim": "elements of a head",
    "ffn": "elements inside the feed-forward network",
    "vocabulary": "tokens that there are",
    "max_tokens": "longest context",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Model, prompt, chip and machine."""
    model = parser.add_argument_group("model", "weights are made up from the seed")
    model.add_argument("--model", default="toy", help=f"toy, a published model, or a config.json; small {DEFAULT}")
    for size, meaning in TOY_SIZES.items():
        model.add_argument(f"--{size.replace('_', '-')}", type=count, metavar="N", help=f"of the toy: {meaning}")
    model.add_argument(
        "--ffn-matrices",
        type=int,
        choices=(2, 3),
        help="of the toy: 3, gated by SiLU, or 2: max(0, x W1 + b1) W2 + b2 (default: 3)",
    )
    model.add_argument("--seed", type=int, default=0, help=f"of weights and prompt {DEFAULT}")
    prompt = parser.add_argument_group("prompt")
    prompt.add_argument("--prompt", type=_ids, metavar="ID,ID", help="its tokens (default: made up)")
    prompt.add_argument("--prompt-len", type=count, metavar="N", help="tokens of one that is made up (default: 8)")
    prompt.add_argument("--new", type=count, default=32, metavar="N", help=f"tokens to decode {DEFAULT}")
    chip = parser.add_argument_group("chip")
    chip.add_argument("--banks", type=count, default=8, metavar="N", help=f"that hold the weights {DEFAULT}")
    chip.add_argument("--bank-kib", type=count, metavar="N", help="memory of a bank, in KiB (default: of the profile)")
    chip.add_argument(
        "--partition",
        default="oned_out",
        metavar="WHAT",
        help=f"of weights: oned_out, oned_in, or banks that share outputs x inputs, as 4x2 {DEFAULT}",
    )
    chip.add_argument(
        "--kv-mode",
        choices=("banks-per-head", "head-per-bank"),
        default="banks-per-head",
        help=f"who does softmax: the controller, or a bank for each head beside those of the weights {DEFAULT}",
    )
    chip.add_argument("--banks-per-head", type=count, metavar="N", help="that share a head (default: all there are)")
    chip.add_argument("--kv-bits", type=int, choices=(4, 8), default=8, help=f"of elements of K and V {DEFAULT}")
    chip.add_argument(
        "--fusion", choices=("separate", "fused"), default="separate", help=f"of products with equal inputs {DEFAULT}"
    )
    chip.add_argument("--tile", type=count, default=16, metavar="N", help=f"tokens that pass at once {DEFAULT}")
    chip.add_argument(
        "--precision", choices=("integer", "float"), default="integer", help=f"of the controller {DEFAULT}"
    )
    machine = parser.add_argument_group("machine", "banks are DPUs")
    add_machine_options(machine)
    add_timing_options(machine)
    machine.add_argument("--engine", choices=("compiled", "interpreted"), default="compiled", help=DEFAULT)


def run(arguments: argparse.Namespace) -> Report:
    """Decode and compare. Raises PimError, ValueError or OSError for what cannot be decoded."""
    from host.chip.decode_experiment import run_decode
    from host.chip.emulated_chip import EmulatedChip
    from host.llm.engine import NumpyEngine
    from host.llm.generation import check_request, generate
    from host.llm.weights import random_weights

    if arguments.timing == "off":
        raise ValueError("--timing off: counts nothing, and what banks read is checked by what they count")
    model = _model(arguments)
    weights = random_weights(model, seed=arguments.seed)
    prompt = _prompt(arguments, model)
    check_request(model, prompt, arguments.new)
    hardware = chosen_hardware(arguments)
    if arguments.bank_kib is not None:
        hardware = hardware.with_values({"dpu.mram_bytes": arguments.bank_kib << 10})
    started = time.perf_counter()
    with EmulatedChip(
        weights,
        partition=partition_of(arguments.partition, arguments.banks),
        kv=_placement(arguments, model),
        machine=timed_machine(arguments, hardware),
        fusion=arguments.fusion,
        tile_tokens=arguments.tile,
        kv_bits=arguments.kv_bits,
        options=chosen_options(arguments, engine=arguments.engine),
    ) as chip:
        setup_seconds = time.perf_counter() - started
        with progress("decoding", total=arguments.new) as advance:
            decode = run_decode(weights, chip, prompt, arguments.new, precision=arguments.precision, advance=advance)
        recomputed = generate(
            weights,
            NumpyEngine(weights, kv_bits=arguments.kv_bits),
            prompt,
            arguments.new,
            cache="recomputed",
            precision=arguments.precision,
        )
        return Report(
            title=f"{model.name} decodes on {arguments.banks} emulated banks",
            sections=(
                model_section(weights, chip, arguments),
                tokens_section(decode),
                traffic_section(model, chip, decode),
                cache_section(decode.reference, recomputed),
                time_section(decode, hardware, arguments, setup_seconds=setup_seconds),
            ),
        )


def _model(arguments: argparse.Namespace) -> ModelConfig:
    from host.llm.model import toy

    given = {name: getattr(arguments, name) for name in TOY_SIZES if getattr(arguments, name) is not None}
    if arguments.model != "toy":
        if given or arguments.ffn_matrices is not None:
            raise ValueError(f"--model {arguments.model} has sizes of its own: leave out those of the toy")
        return chosen_model(arguments).model
    model = toy(**given)
    return replace(model, ffn_matrices=2, activation="relu") if arguments.ffn_matrices == 2 else model


def _prompt(arguments: argparse.Namespace, model: ModelConfig) -> tuple[int, ...]:
    if arguments.prompt is None:
        generator = np.random.default_rng(arguments.seed)
        return tuple(generator.integers(0, model.vocabulary or 1, arguments.prompt_len or 8).tolist())
    if arguments.prompt_len is not None:
        raise ValueError(f"--prompt-len {arguments.prompt_len}: --prompt has a length of its own, leave one out")
    ids: tuple[int, ...] = arguments.prompt
    return ids


def _placement(arguments: argparse.Namespace, model: ModelConfig) -> KvPlacement:
    from host.chip.document import banks_per_head, head_per_bank

    count = arguments.banks_per_head
    if arguments.kv_mode == "banks-per-head":
        return banks_per_head(count or max(1, arguments.banks // model.kv_heads), "own transfer")
    if count is not None:
        raise ValueError(f"--banks-per-head {count}: a bank for each head is one; give --kv-mode banks-per-head")
    return head_per_bank("own transfer")


def _ids(text: str) -> tuple[int, ...]:
    """The value of --prompt."""
    parts = text.split(",")
    if not all(part.strip().isdecimal() for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is no list of tokens. Write ids, as in 3,1,4.")
    return tuple(map(int, parts))
