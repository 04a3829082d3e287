"""The report of `pim chip table`: document 2's layout, each place with what the document prints, and its errors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from .chip_options import Place
from .document_notes import error_notes
from .model_options import training_notes
from .output import Cell, Column, Section, Table, Value

if TYPE_CHECKING:
    from host.chip.document import PimChip, Term
    from host.machines.cost import Cost

__all__ = ["LABELS", "about_section", "document_layout", "fit_note", "picture_parts", "place_section"]

US = 1e6
TOTAL = "total"
LABELS = (
    "weights in banks",
    "K and V in banks",
    "weights on the link",
    "K and V on the link",
    "weights at the controller",
    "K and V at the controller",
)
LAMBDA = "lambda x transfers"
READINGS = {"si": "GB = 10^9 B", "seed": "GB = 2^30 B"}
NOTABLE_DIFFERENCE = 0.01  # of the two readings, from which on both are shown
# Errors of the document that concern a number of its table: by row of the table, then by column, the total last.
ERRORS = {
    "head_per_bank": ("E2-5 E2-8", "E2-7 E2-11", "E2-7 E2-12", "E2-6 E2-7", "", "", "E2-8"),
    "four_banks_per_head": ("E2-5 E2-8", "E2-7", "E2-7 E2-12", "E2-2 E2-6 E2-7", "", "E2-4", "E2-2 E2-3 E2-8"),
}
RATE_ERROR = "E2-14"


def document_layout(costs: Mapping[str, Cost]) -> Table:
    """A row for each place, with terms such as 450 lambda + 4.61e-06."""
    columns = (Column(name="place"), *(Column(name=name, unit="s", origin="modelled") for name in (*LABELS, TOTAL)))
    rows = tuple((name, *map(_as_text, _terms(cost))) for name, cost in costs.items())
    return Table(title="", columns=columns, rows=rows)


def place_section(place: Place, chip: PimChip, cost: Cost, context: int) -> Section:
    """What the place gives, and its columns beside those of the document where it has them."""
    printed = f"; the document: 500+ ({RATE_ERROR})" if _is_published(place, chip, context) else ""
    return Section(
        title=place.name,
        values=_values(chip, cost, printed),
        tables=(_term_table(place, chip, cost, context),),
        notes=_notes(chip, cost, context),
    )


def about_section(chips: Mapping[Place, PimChip], context: int) -> Section:
    """How to read the numbers, and what is wrong in the document, where its numbers are shown."""
    chip = next(iter(chips.values()))
    reading = f"Modelled: units {chip.unit_system} ({READINGS[chip.unit_system]}), compat {chip.seed_compat}."
    notes = [f"{reading} Banks, link and controller work one after the other, at the bandwidths of the profile."]
    shown = [place.published_row for place, one in chips.items() if _is_published(place, one, context)]
    if shown:
        notes.append("The document's numbers are published; where ours differ, the errors say why.")
    ids = {id_ for row in shown for errors in (*ERRORS[row], RATE_ERROR) for id_ in errors.split()}
    return Section(title="About these numbers", notes=(*notes, *error_notes(sorted(ids, key=_number))))


def picture_parts(cost: Cost) -> dict[str, float]:
    """Microseconds of the six columns, and of lambda by itself."""
    from host.chip.document import columns

    parts = {label: US * term.seconds for label, term in zip(LABELS, columns(cost), strict=True)}
    return {**parts, LAMBDA: US * cost.seconds_by("link latency")}


def fit_note(chip: PimChip, contexts: Iterable[int]) -> str:
    """Which of some contexts do not fit, however weights are spread; empty if all do."""
    from host.machines.capacity import MachineCapacityError
    from host.machines.placement import max_context

    try:
        longest = max_context(chip.memory, chip.model, chip.quant, chip.kv)
    except MachineCapacityError as error:
        return f"Does not fit: {error}"
    beyond = [context for context in contexts if context > longest]
    return f"Contexts of more than {longest:,} tokens do not fit." if beyond else ""


def _terms(cost: Cost) -> tuple[Term, ...]:
    from host.chip.document import columns, total

    return (*columns(cost), total(cost))


def _as_text(term: Term) -> str:
    seconds = f"{term.seconds:.4g}"
    return f"{term.transfers} lambda + {seconds}" if term.transfers else seconds


def _values(chip: PimChip, cost: Cost, printed_rate: str) -> tuple[Value, ...]:
    from host.chip.document import lambda_threshold_s

    linkless_s = sum(cost.part(part, place).seconds for part in ("weights", "kv") for place in ("units", "controller"))
    lambda_us = float(chip.chip.link.transfer_us)
    return (
        Value(name="tokens/s", value=1 / cost.seconds, origin="modelled", source=f"lambda = {lambda_us:g} us"),
        Value(
            name="tokens/s without the link",
            value=1 / linkless_s,
            origin="modelled",
            source=f"controller and banks alone{printed_rate}",
        ),
        Value(name="banks that work on attention", value=float(100 * chip.utilisation), unit="%", origin="exact"),
        Value(
            name="lambda that doubles the time",
            value=US * lambda_threshold_s(cost),
            unit="us",
            origin="modelled",
            source=f"{cost.transfers} transfers; beyond it, their latency is the bottleneck",
        ),
    )


def _term_table(place: Place, chip: PimChip, cost: Cost, context: int) -> Table:
    from host.claims.registry import load_registry

    readings = {chip.unit_system: _terms(cost)}
    if chip.seed_compat != "as_printed":
        other = replace(chip, unit_system="si" if chip.unit_system == "seed" else "seed")
        theirs = other.token_latency(context)
        if abs(theirs.seconds / cost.seconds - 1) > NOTABLE_DIFFERENCE or chip.chip.link.transfer_us:
            readings[other.unit_system] = _terms(theirs)
    columns = [Column(name="part"), Column(name="transfers", origin="exact")]
    columns += [Column(name=f"time, {READINGS[reading]}", unit="us", origin="modelled") for reading in readings]
    rows: list[tuple[Cell, ...]] = [
        (label, terms[0].transfers, *(US * term.seconds for term in terms))
        for label, *terms in zip((*LABELS, TOTAL), *readings.values(), strict=True)
    ]
    if _is_published(place, chip, context):
        printed = load_registry().published["seed2_table"][place.published_row]
        columns += [
            Column(name="transfers", origin="published"),
            Column(name="time", unit="us", origin="published"),
            Column(name="errors"),
        ]
        says = zip(printed["lambda_count"], printed["seconds"], ERRORS[place.published_row], strict=True)
        rows = [(*row, count, US * seconds, errors) for row, (count, seconds, errors) in zip(rows, says, strict=True)]
    title = "Transfers, each of which takes lambda, and the time beside them"
    return Table(title=title, columns=tuple(columns), rows=tuple(rows))


def _notes(chip: PimChip, cost: Cost, context: int) -> tuple[str, ...]:
    from host.machines.capacity import MachineCapacityError
    from host.machines.placement import place

    notes = [f"Bound by {cost.bound_by}; the products with K and V by {cost.part('kv', 'units').bound_by}."]
    if cost.overlap:
        notes.append(f"The total is {cost.overlap}.")
    if chip.imbalance != 1:
        notes.append(f"The bank with the most weights has {float(chip.imbalance):.4f} times the mean.")
    else:
        try:
            place(chip.memory, chip.model, chip.quant, chip.kv, context=context, spread="even")
        except MachineCapacityError as error:
            notes.append(f"Does not fit: {error}")
    return (*notes, *training_notes(chip.model, context))


def _is_published(place: Place, chip: PimChip, context: int) -> bool:
    """Whether the document prints these numbers."""
    return bool(place.published_row) and not chip.differs_from_document(context)


def _number(id_: str) -> int:
    return int(id_.partition("-")[2])
