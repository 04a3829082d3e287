"""`pim arith weights`: parameters, their bytes, and the KV caches beside them, with the numbers of document 3."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from .document_notes import error_notes
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
    from host.llm.parameters import attention_parameters, embedding_parameters, ffn_parameters, parameters

    attention, ffn, layers = attention_parameters(model), ffn_parameters(model), parameters(model, "layers")
    says = "325 GB" if arguments.model == DOCUMENT_MODEL and quant.weight_bits == DOCUMENT_BITS else None
    rows = [
        _row("attention of a layer", attention, quant.weight_bits),
        _row("feed-forward of a layer", ffn, quant.weight_bits),
        _row("one layer, as the printed formula", attention + ffn, quant.weight_bits, errors="E3-1"),
        _row("all layers", layers, quant.weight_bits, says, "E3-1 E3-4 E3-7"),
    ]
    if model.vocabulary is not None:
        embedding, matrices, all_weights = (
            embedding_parameters(model),
            parameters(model, "matrices"),
            parameters(model, "all"),
        )
        tied = "embedding, and output" if model.tied else "embedding"
        rows.append(_row(tied, embedding, quant.weight_bits))
        rows += [] if model.tied else [_row("output", embedding, quant.weight_bits)]
        rows.append(_row("layers with these", matrices, quant.weight_bits, says, "E3-4"))
        rows.append(_row("norms", all_weights - matrices, quant.weight_bits))
        rows.append(_row("everything but biases", all_weights, quant.weight_bits))
    notes = [] if model.vocabulary is not None else ["The vocabulary was not published: the embedding is left out."]
    title = f"Weights of {quant.weight_bits} bits"
    return Section(
        title="Weights",
        tables=(Table(title=title, columns=COLUMNS, rows=tuple(rows)),),
        notes=(*notes, *error_notes(("E3-1", "E3-4", "E3-7"))),
    )


def _caches(model: ModelConfig, quant: QuantConfig, arguments: argparse.Namespace) -> Section:
    from host.llm.parameters import kv_bytes_peak, kv_elements_per_token, weight_bytes

    batch, tokens = arguments.batch, arguments.prompt + arguments.new
    peak_bytes = kv_bytes_peak(model, quant, batch=batch, prompt=arguments.prompt, new_tokens=arguments.new)
    asked = {"model": arguments.model, **{name: getattr(arguments, name) for name in DOCUMENT_LOAD}}
    known = asked == {"model": DOCUMENT_MODEL, **DOCUMENT_LOAD} and quant.kv_bits == DOCUMENT_BITS
    element, bits = kv_elements_per_token(model), quant.kv_bits
    rows = (
        _row("a token", element, bits),
        _row(f"a request of {tokens} tokens", tokens * element, bits),
        _row(f"{batch} requests, at their peak", batch * tokens * element, bits, "1.2 TB" if known else None, "E3-4"),
    )
    compared: dict[str, Counted] = {"layers": "layers"}
    if model.vocabulary is not None:
        compared["layers, embedding and output"] = "matrices"
    says = "3.8" if known and quant.weight_bits == DOCUMENT_BITS else None
    ratios = tuple(
        (what, peak_bytes / weight_bytes(model, quant, counted), says, "E3-4") for what, counted in compared.items()
    )
    peak = f"At the peak {peak_bytes / TB:.4g} TB, which are {peak_bytes / TIB:.4g} TiB."
    return Section(
        title="KV caches",
        tables=(
            Table(title=f"K and V of {quant.kv_bits} bits", columns=COLUMNS, rows=rows),
            Table(
                title="Peak of the caches over the weights",
                columns=(
                    Column(name="weights"),
                    Column(name="times", origin="exact"),
                    Column(name="document 3 says", origin="published"),
                    Column(name="errors"),
                ),
                rows=ratios,
            ),
        ),
        notes=(peak, *error_notes(("E3-4", "E3-7"))),
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


def _row(what: str, elements: int, bits: int, says: str | None = None, errors: str = "") -> tuple[Cell, ...]:
    nbytes = elements * bits // 8
    return what, elements, nbytes, nbytes / GB, nbytes / GIB, says, errors
