"""A toy decodes on emulated banks, behind a host port, and beside the reference: bits, traffic and times (S2-9, S2-10).

Owns the run and the closed forms that its counters must equal; the report is made in the command `pim chip decode`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dpu_kernels.gemv import RowType, row_bytes
from host.llm.controller import Precision
from host.llm.engine import NumpyEngine
from host.llm.generation import Generation, generate, generated
from host.llm.integer_decoder import Decoder
from host.llm.model import ModelConfig
from host.llm.operators import Step
from host.llm.quantisation import INT8
from host.llm.weights import DecoderWeights
from host.machines.kv_placement import KvPlacement, kv_work
from host.machines.weight_partition import weight_traffic

from .emulated_chip import EmulatedChip
from .host_port import HostPort, Message
from .traffic import Moved, Purpose

__all__ = ["ChipDecode", "StepTraffic", "closed_form", "prompt_weight_bytes", "run_decode"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTraffic:
    """context: tokens that the query saw, its own included. moved: counted while it passed the chip."""

    context: int
    moved: Mapping[Purpose, Moved]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChipDecode:
    """tokens, logits [new tokens, vocabulary]: of the chip. reference: NumPy's. messages: at the host port.

    prompt: moved until the first token. steps: of each further token. simulated_ps: of the emulated banks.
    chip_seconds, reference_seconds: on this computer.
    """

    tokens: tuple[int, ...]
    logits: NDArray[np.int32]
    reference: Generation
    messages: tuple[Message, ...]
    prompt: Mapping[Purpose, Moved]
    steps: tuple[StepTraffic, ...]
    simulated_ps: int
    chip_seconds: float
    reference_seconds: float

    @property
    def is_bit_equal(self) -> bool:
        """Whether all logits of all tokens are those of the reference."""
        return self.tokens == self.reference.tokens and np.array_equal(self.logits, self.reference.logits)


def run_decode(
    weights: DecoderWeights,
    chip: EmulatedChip,
    prompt: Sequence[int],
    new_tokens: int,
    *,
    precision: Precision = "integer",
    advance: Callable[[int], None] = lambda done: None,
) -> ChipDecode:
    """Send a prompt to a chip, take its tokens, and compute the same in NumPy. `advance(1)` is called after each token.

    Raises what `generate` raises, before the chip is asked.
    """
    started = time.perf_counter()
    reference = generate(weights, NumpyEngine(weights, kv_bits=chip.kv_bits), prompt, new_tokens, precision=precision)
    reference_seconds = time.perf_counter() - started
    logits: list[NDArray[np.int32]] = []
    counters: list[Mapping[Purpose, Moved]] = []
    decoder = Decoder(weights, chip, precision=precision, tile_tokens=chip.tile_tokens)

    def serve(ids: Sequence[int]) -> Iterator[int]:
        before = chip.traffic.now()
        for token in generated(decoder, ids):
            counters.append(chip.traffic.since(before))
            before = chip.traffic.now()
            logits.append(token.logits)
            yield token.token

    port, before_ps = HostPort(serve), chip.simulated_ps
    started = time.perf_counter()
    port.send_prompt(prompt)
    tokens = []
    for _ in range(new_tokens):
        tokens.append(port.next_token())
        advance(1)
    return ChipDecode(
        tokens=tuple(tokens),
        logits=np.stack(logits),
        reference=reference,
        messages=tuple(port.messages),
        prompt=counters[0],
        steps=tuple(
            StepTraffic(context=context, moved=moved) for context, moved in enumerate(counters[1:], len(prompt) + 1)
        ),
        simulated_ps=chip.simulated_ps - before_ps,
        chip_seconds=time.perf_counter() - started,
        reference_seconds=reference_seconds,
    )


def closed_form(model: ModelConfig, chip: EmulatedChip, *, context: int) -> Mapping[Purpose, Moved]:
    """What document 2 says that a decode step moves (5.2), in elements; `append` as E2-6 adds it.

    The attention program keeps K and V apart, so that their rows are two transfers where a bank has a head; what its
    tasklets read of them, scores and queries included, is not counted.
    """
    weights = weight_traffic(model, chip.partition, fusion=chip.fusion)
    placement = KvPlacement(chip.kv.units_per_head, chip.kv.merge, "not counted")
    # With INT8 all elements are bytes.
    kv = kv_work(model, INT8, Step(batch=1, context=context), placement, units=chip.partition.units)
    down, up = (sum(one.times * getattr(one, way) for one in kv.rounds) for way in ("down_bytes", "up_bytes"))
    shared = chip.kv.merge == "scores"
    queries = model.layers * model.heads * model.dim
    row_type: RowType = "int4" if chip.kv_bits == 4 else "int8"
    return {
        "weights": Moved(
            transfers=weights.transfers,
            down=int(weights.down),
            up=int(weights.up),
            controller_adds=int(weights.controller_adds),
            read_bytes=chip.weight_bytes("gemv"),
        ),
        "kv": Moved(
            transfers=kv.transfers,
            down=int(down),
            up=int(up),
            controller_adds=(chip.kv.units_per_head - 1) * queries,
            read_bytes=2 * context * model.layers * model.kv_heads * row_bytes(model.dim, row_type) if shared else 0,
        ),
        "append": Moved(
            transfers=model.layers * (1 if shared else 2), down=2 * model.layers * model.kv_heads * model.dim
        ),
    }


def prompt_weight_bytes(chip: EmulatedChip, *, tokens: int) -> int:
    """What banks read of their weights for a prompt: those of the layers once for each tile, the output matrix once."""
    tiles = -(-tokens // chip.tile_tokens)
    layers = chip.weight_bytes("layers")
    return tiles * layers + chip.weight_bytes("gemv") - layers
