"""`pim arith weights`: parameters, their bytes, and the KV caches beside them, with the numbers of document 3."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from .document_notes import document_says, error_notes
from .model_options import add_bits_options, add_model_option, chosen_model, chosen_quant, count, model_section
from .output import Cell, Column, Report, Section, Table

if TYPE_CHECKING:
    from host.llm.model import ModelConfig
    from host.llm.parameters import Counted
    from host.llm.quantisation import QuantConfig

__all__ = ["HELP", "NAME", "add_arguments", "run"]

NAME = "weights"
HELP = "parameters, their bytes and the KV caches beside them"

DOCUMENT_MODEL, DOCUMENT_BITS = "opt-175b", 16
DOCUMENT_LOAD = {"batch": 512, "prompt": 512, "new": 32}
GB, GIB, TB, TIB = 10**9, 2**30, 10**12, 2**40


class Said(NamedTuple):
    """What document 3 prints for a number, if anything, and the errors of its number or formula."""

    text: str | None = None
    errors: str = ""


NOTHING = Said()
COLUMNS = (
    Column(name="what"),
    Column(name="elements", origin="exact"),
    Column(name="bytes", origin="exact"),
    Column(name="GB", unit="10^9 bytes", origin="exact"),
    Column(name="GiB", unit="2^30 bytes", origin="exact"),
    Column(name="document 3 says", origin="published"),
    Column(name="errors"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The model, its bits and the load; the defaults are those of document 3."""
    add_model_option(parser, default=DOCUMENT_MODEL)
    add_bits_options(parser, default=DOCUMENT_BITS)
    for name, what in (("batch", "requests"), ("prompt", "tokens of a prompt"), ("new", "tokens that each decodes")):
        parser.add_argument(f"--{name}", type=count, default=DOCUMENT_LOAD[name], help=f"{what} (default: %(default)s)")


def run(arguments: argparse.Namespace) -> Report:
    """Count. Raises ModelFileError or ValueError for a model that is none."""
    described, quant = chosen_model(arguments), chosen_quant(arguments)
    return Report(
        title=f"Weights and KV caches of {described.model.name}",
        sections=(
            model_section(described, longest=arguments.prompt + arguments.new),
            _weights(described.model, quant, arguments),
            _caches(described.model, quant, arguments),
            _operations(described.model, arguments.prompt + arguments.new),
        ),
    )


def _weights(model: ModelConfig, quant: QuantConfig, arguments: argparse.Namespace) -> Section:
    from host.llm.parameters import attention_parameters, ffn_parameters, parameters, printed_layer_parameters

    bits, printed = quant.weight_bits, printed_layer_parameters(model)
    said, said_more = (_said(claim, {"model": DOCUMENT_MODEL}, (bits,), arguments) for claim in ("C3-01", "C3-02"))
    rows = [
        _row("attention of a layer", attention_parameters(model), bits),
        _row("feed-forward of a layer", ffn_parameters(model), bits),
        _row("the formula of document 3, which is of one layer", printed, bits, Said(None, "E3-1 E3-7")),
        _row("all layers by that formula", model.layers * printed, bits, Said(None, "E3-7")),
        _row("all layers", parameters(model, "layers"), bits, said),
    ]
    unknown = "The vocabulary was not published: the embedding is left out."
    if model.vocabulary is not None:
        rows += _matrix_rows(model, bits, said_more)
    return Section(
        title="Weights",
        tables=(Table(title=f"Weights of {bits} bits", columns=COLUMNS, rows=tuple(rows)),),
        notes=(*([unknown] * (model.vocabulary is None)), *error_notes(("E3-1", *said.errors.split(), "E3-7"))),
    )


def _matrix_rows(model: ModelConfig, bits: int, said: Said) -> list[tuple[Cell, ...]]:
    """Embedding, output matrix and norms, and what they add up to."""
    from host.llm.parameters import embedding_parameters, parameters

    embedding, matrices, everything = (
        embedding_parameters(model),
        parameters(model, "matrices"),
        parameters(model, "all"),
    )
    names = ["embedding, which is the output matrix too"] if model.tied else ["embedding", "output matrix"]
    return [
        *(_row(name, embedding, bits) for name in names),
        _row("layers with these", matrices, bits, said),
        _row("norms", everything - matrices, bits),
        _row("everything but biases", everything, bits),
    ]


def _caches(model: ModelConfig, quant: QuantConfig, arguments: argparse.Namespace) -> Section:
    from host.llm.parameters import kv_bytes_peak, kv_elements_per_token, printed_kv_elements_per_token

    batch, tokens, bits = arguments.batch, arguments.prompt + arguments.new, quant.kv_bits
    element, asked = kv_elements_per_token(model), {"model": DOCUMENT_MODEL, **DOCUMENT_LOAD}
    said = _said("C3-03", asked, (bits,), arguments)
    rows = (
        _row("a token by the formula of document 3", printed_kv_elements_per_token(model), bits, Said(None, "E3-7")),
        _row("a token", element, bits),
        _row(f"a request of {tokens} tokens", tokens * element, bits),
        _row(f"{batch} requests, at their peak", batch * tokens * element, bits, said),
    )
    peak_bytes = kv_bytes_peak(model, quant, batch=batch, prompt=arguments.prompt, new_tokens=arguments.new)
    peak = f"At the peak {peak_bytes / TB:.4g} TB, which are {peak_bytes / TIB:.4g} TiB."
    ratio_said = _said("C3-04", asked, (quant.weight_bits, bits), arguments)
    return Section(
        title="KV caches",
        tables=(
            Table(title=f"K and V of {bits} bits", columns=COLUMNS, rows=rows),
            _ratio_table(model, quant, peak_bytes, ratio_said),
        ),
        notes=(peak, *error_notes((*said.errors.split(), "E3-7"))),
    )


def _ratio_table(model: ModelConfig, quant: QuantConfig, peak_bytes: int, said: Said) -> Table:
    from host.llm.parameters import weight_bytes

    compared: dict[str, Counted] = {"layers": "layers"}
    if model.vocabulary is not None:
        compared["layers, embedding and output"] = "matrices"
    return Table(
        title="Peak of the caches over the weights",
        columns=(
            Column(name="weights"),
            Column(name="times", origin="exact"),
            Column(name="document 3 says", origin="published"),
            Column(name="errors"),
        ),
        rows=tuple((what, peak_bytes / weight_bytes(model, quant, which), *said) for what, which in compared.items()),
    )


def _operations(model: ModelConfig, tokens: int) -> Section:
    from host.llm.parameters import attention_flops, kv_projection_parameters, parameters

    weights = parameters(model, "layers" if model.vocabulary is None else "gemv")
    rows = (
        ("K and V projections", 2 * kv_projection_parameters(model)),
        ("all products with weights, these included", 2 * weights),
        (f"scores and weighted sums, after {tokens} tokens", attention_flops(model, tokens)),
    )
    table = Table(
        title="Of one decoded token",
        columns=(Column(name="what"), Column(name="operations", origin="exact")),
        rows=rows,
    )
    return Section(title="Operations", tables=(table,), notes=("A multiplication and an addition are two operations.",))


def _row(what: str, elements: int, bits: int, said: Said = NOTHING) -> tuple[Cell, ...]:
    nbytes = elements * bits // 8
    return what, elements, nbytes, nbytes / GB, nbytes / GIB, *said


def _said(claim: str, asked: Mapping[str, object], bits: tuple[int, ...], arguments: argparse.Namespace) -> Said:
    """What document 3 prints for a claim if it is about these arguments and bits; all of it is in the wrong unit."""
    known = all(getattr(arguments, name) == value for name, value in asked.items())
    return Said(str(document_says(claim)[""]), "E3-4") if known and set(bits) == {DOCUMENT_BITS} else NOTHING
