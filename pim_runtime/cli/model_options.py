"""Which model, with how many bits, and for how many requests and tokens: options of the commands about models."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, TypeAlias

from .output import Section, Value

if TYPE_CHECKING:
    from host.llm.catalogue import PublishedModel
    from host.llm.model import ModelConfig
    from host.llm.quantisation import QuantConfig

__all__ = [
    "add_bits_options",
    "add_model_option",
    "chosen_model",
    "chosen_quant",
    "count",
    "model_section",
    "training_notes",
]

Options: TypeAlias = argparse._ActionsContainer  # a parser, or a group of one

WIDTHS = (4, 8, 16, 32)
LARGEST_COUNT = 10**9


def add_model_option(options: Options, *, default: str) -> None:
    """Declare `--model`."""
    options.add_argument(
        "--model",
        metavar="MODEL",
        default=default,
        help="a published model, or a Hugging Face config.json, or a folder with one (default: %(default)s)",
    )


def add_bits_options(options: Options, *, default: int = 16) -> None:
    """Declare `--bits`, and one option for each kind of element that differs."""
    options.add_argument(
        "--bits", type=int, choices=WIDTHS, default=default, help="of every element (default: %(default)s)"
    )
    for name, what in (("w", "weights"), ("kv", "K and V"), ("act", "hidden states")):
        options.add_argument(f"--{name}-bits", type=int, choices=WIDTHS, help=f"of {what} (default: --bits)")


def chosen_model(arguments: argparse.Namespace) -> PublishedModel:
    """The model, and where its shape is stated. Raises ModelFileError or ValueError for what is none."""
    from host.llm.huggingface import described_model

    return described_model(arguments.model)


def chosen_quant(arguments: argparse.Namespace) -> QuantConfig:
    """Bits of weights, of K and V, and of hidden states."""
    from host.llm.quantisation import QuantConfig

    bits = (arguments.w_bits, arguments.kv_bits, arguments.act_bits)
    return QuantConfig(*(arguments.bits if given is None else given for given in bits))


def count(text: str) -> int:
    """A whole number from 1 to 10**9, as the type of an argument."""
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text[: len(str(LARGEST_COUNT)) + 1]) <= LARGEST_COUNT:
        raise argparse.ArgumentTypeError(f"{text[:40]!r}: must be a whole number from 1 to {LARGEST_COUNT:,}")
    return int(text)


def model_section(described: PublishedModel, *, longest: int | None = None) -> Section:
    """The shape, and its source. longest: tokens of a context that is asked for, if any."""
    model = described.model
    values = (
        Value(name="model", value=model.name, origin="published", source=described.source),
        Value(name="layers", value=model.layers, origin="published"),
        Value(name="hidden", value=model.hidden, unit="elements", origin="published"),
        Value(name="attention", value=_heads(model), origin="published"),
        Value(name="feed-forward", value=f"{model.ffn_matrices} matrices, {model.ffn} elements", origin="published"),
        Value(name="vocabulary", value=model.vocabulary, unit="tokens", origin="published"),
        Value(name="longest context", value=model.max_tokens, unit="tokens", origin="published"),
    )
    return Section(title="Model", values=values, notes=() if longest is None else training_notes(model, longest))


def training_notes(model: ModelConfig, context: int) -> tuple[str, ...]:
    """That a model was trained for less than a context, where it was."""
    if context <= model.max_tokens:
        return ()
    return (f"A context of {context:,} tokens is longer than {model.name} was trained for: {model.max_tokens:,}.",)


def _heads(model: ModelConfig) -> str:
    return f"{model.heads} heads on {model.kv_heads} KV heads x {model.dim}"
