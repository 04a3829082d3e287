"""The report of `pim chip decode`: what was asked, tokens, traffic beside document 2's formulas, caches, times."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ..hardware import Hardware
from .document_notes import error_notes
from .machine_options import machine_name
from .output import Check, Column, Section, Table, Value
from .timing_options import kernel_time_note

if TYPE_CHECKING:
    from host.chip.decode_experiment import ChipDecode
    from host.chip.emulated_chip import EmulatedChip
    from host.chip.traffic import Moved, Purpose
    from host.llm.generation import Generation
    from host.llm.model import ModelConfig
    from host.llm.weights import DecoderWeights

__all__ = ["cache_section", "model_section", "time_section", "tokens_section", "traffic_section"]

PS_PER_MS = 1_000_000_000
COUNTS = {"transfers": "", "down": "elements", "up": "elements", "controller_adds": "", "read_bytes": "bytes"}


def model_section(weights: DecoderWeights, chip: EmulatedChip, arguments: argparse.Namespace) -> Section:
    """What was asked."""
    from host.llm.parameters import parameters

    model, cut = weights.model, chip.partition
    network = "gate, up, down" if model.ffn_matrices == 3 else "two matrices with biases"
    shared = chip.kv.merge == "scores"
    values = (
        Value(
            name="model",
            value=f"{model.layers} layers x {model.hidden}, {model.heads} heads x {model.dim}",
            origin="exact",
            source=f"{model.kv_heads} KV heads; {network} x {model.ffn}, {model.activation}; "
            f"vocabulary {model.vocabulary}",
        ),
        Value(
            name="weights",
            value=parameters(model, "gemv"),
            origin="exact",
            source=f"int4 with a scale per row, made up from seed {arguments.seed}; vectors are int8, sums exact",
        ),
        Value(
            name="banks",
            value=cut.units,
            origin="exact",
            source=f"outputs in {cut.output_parts} parts, inputs in {cut.input_parts}; products {chip.fusion}",
        ),
        Value(
            name="bytes of weights", value=chip.weight_bytes("gemv"), origin="exact", unit="bytes", source="as stored"
        ),
        Value(
            name="K and V",
            value=f"int{chip.kv_bits}, "
            + (f"{chip.kv.units_per_head} banks per head" if shared else "a bank per head"),
            origin="exact",
            source="softmax at the controller, in integers" if shared else "softmax in these banks, beside the others",
        ),
        Value(name="controller", value=arguments.precision, origin="exact"),
    )
    return Section(title="Model and chip", values=values)


def tokens_section(decode: ChipDecode) -> Section:
    """What came out, and whether it is what NumPy computes; what crossed the host port."""
    down = [message for message in decode.messages if message.direction == "down"]
    up = [message for message in decode.messages if message.direction == "up"]
    (prompt,) = down
    only_ids = [message.ids for message in up] == [(token,) for token in decode.reference.tokens]
    equal = int((decode.logits == decode.reference.logits).sum())
    return Section(
        title="Tokens",
        values=(
            Value(name="prompt", value=" ".join(map(str, prompt.ids)), origin="exact"),
            Value(name="tokens", value=" ".join(map(str, decode.tokens)), origin="exact"),
        ),
        checks=(
            Check(
                name="bits of the NumPy reference",
                passed=decode.is_bit_equal,
                detail=f"{equal:,} of {decode.logits.size:,} logits equal",
            ),
            Check(
                name="between CPU and chip only ids",
                passed=only_ids and len(down) == 1,
                detail=f"{len(prompt.ids)} down in one message, {len(up)} up, one in each",
            ),
        ),
    )


def traffic_section(model: ModelConfig, chip: EmulatedChip, decode: ChipDecode) -> Section:
    """Counters of the last step beside the formulas of document 2, and whether all steps agree."""
    from host.chip.decode_experiment import closed_form, prompt_weight_bytes

    forms = [closed_form(model, chip, context=step.context) for step in decode.steps]
    prompt_tokens = len(decode.messages[0].ids)
    prompt_bytes = prompt_weight_bytes(chip, tokens=prompt_tokens)
    differing = sum(
        step.moved[purpose] != moved
        for step, form in zip(decode.steps, forms, strict=True)
        for purpose, moved in form.items()
    )
    tables: tuple[Table, ...] = ()
    if decode.steps:
        last = decode.steps[-1]
        tables = (_table(f"Decode step that sees {last.context} tokens", last.moved, forms[-1]),)
    return Section(
        title="Between controller and banks",
        tables=tables,
        notes=(
            "Formula: document 2, section 3.1, with the sizes of this model. What all banks get counts once.",
            "Orders: arguments of the attention program. Append: the new k and v, which the document leaves out.",
            *error_notes(["E2-6"]),
        ),
        checks=(
            Check(
                name="counters of every step are the formulas",
                passed=not differing,
                detail=f"{len(decode.steps)} steps, {differing} sets of counters differ",
            ),
            Check(
                name="weights are read once per tile of the prompt",
                passed=decode.prompt["weights"].read_bytes == prompt_bytes,
                detail=f"{decode.prompt['weights'].read_bytes:,} bytes by DMA for {prompt_tokens} tokens in tiles of "
                f"{chip.tile_tokens}, {prompt_bytes:,} expected",
            ),
        ),
    )


def cache_section(cached: Generation, recomputed: Generation) -> Section:
    """The same tokens without a cache, and what that takes (document 3)."""
    return Section(
        title="With and without a KV cache",
        values=(
            Value(
                name="tokens through the K and V projections, cached",
                value=cached.projected_tokens,
                origin="exact",
                source="counted; prompt + new tokens - 1",
            ),
            Value(
                name="recomputed",
                value=recomputed.projected_tokens,
                origin="exact",
                source="counted; the whole context for each new token",
            ),
            Value(
                name="reads of a cached pair by later steps",
                value=f"{cached.reuses.min()} to {cached.reuses.max()}",
                origin="exact",
            ),
        ),
        checks=(
            Check(
                name="a cache changes no bit",
                passed=np.array_equal(cached.logits, recomputed.logits),
                detail=f"{cached.logits.size:,} logits",
            ),
        ),
    )


def time_section(
    decode: ChipDecode, hardware: Hardware, arguments: argparse.Namespace, *, setup_seconds: float
) -> Section:
    """Modelled time of the emulated banks, and the time that it took here."""
    count, simulated_ms = len(decode.tokens), decode.simulated_ps / PS_PER_MS
    values = (
        Value(name="prompt and new tokens", value=simulated_ms, origin="modelled", unit="ms", source="DPUs as banks"),
        Value(name="per new token", value=simulated_ms / count, origin="modelled", unit="ms"),
        Value(
            name="set-up",
            value=setup_seconds,
            origin="measured here",
            unit="s",
            source="compiling what was never compiled, loading weights",
        ),
        Value(name="decoding", value=decode.chip_seconds, origin="measured here", unit="s"),
        Value(name="per new token", value=1000 * decode.chip_seconds / count, origin="measured here", unit="ms"),
        Value(name="NumPy reference", value=decode.reference_seconds, origin="measured here", unit="s"),
    )
    return Section(
        title="Time",
        values=values,
        notes=(
            f"Modelled: {machine_name(hardware)}; the controller takes no time.",
            "Times of document 2's chip are in `pim chip table`.",
            kernel_time_note(arguments),
        ),
    )


def _table(title: str, moved: Mapping[Purpose, Moved], form: Mapping[Purpose, Moved]) -> Table:
    columns = [Column(name="what")]
    for count, unit in COUNTS.items():
        name = count.replace("_", " ")
        columns += [Column(name=name, unit=unit, origin="exact"), Column(name="formula", unit=unit, origin="exact")]
    rows = []
    for purpose in moved:
        cells: list[str | int | None] = [purpose]
        for count in COUNTS:
            ours, theirs = (getattr(found[purpose], count) if purpose in found else None for found in (moved, form))
            # Only the program of a bank reads rows that are counted.
            cells += [None, None] if count == "read_bytes" and not ours else [ours, theirs]
        rows.append(tuple(cells))
    return Table(title=title, columns=tuple(columns), rows=tuple(rows))
