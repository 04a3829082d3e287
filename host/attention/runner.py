"""Runs attention over contexts in DPUs: arguments, queries, launches in waves, outputs.

A DPU serves one context per launch. When several contexts of a DPU are called, it serves them in waves, one launch
each. A wave is two launches where the parts of a split head need each other's statistics (zscore, M-5).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dpu_kernels.attention import MAX_QUERIES, Argument, SoftmaxConstant, Stage, ZscoreConstant, summed_rows
from pim_runtime.commands import LaunchResult
from pim_runtime.symbols import HEAP_NAME

from .answers import Answers, RawOutputs, read_answers, read_kept, read_outputs, read_statistics, rearrange
from .biases import BiasTable
from .contexts import Contexts, Unit
from .spec import AttentionSpec
from .zscore import ScoreStatistics, ZscoreConstants, constants_from_statistics, z_bits

__all__ = ["Calls", "Runner", "WaveResults", "by_part", "waves"]

Bytes = NDArray[np.uint8]
Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Calls:
    """Contexts to attend to, int64 [n] each: the parts of a head stand one after the other.

    dpu, slot: where. kv_head, part: which. first, end: tokens of the part that take part. position: of the query.
    """

    dpu: Indices
    slot: Indices
    kv_head: Indices
    part: Indices
    first: Indices
    end: Indices
    position: Indices

    def __len__(self) -> int:
        return len(self.dpu)

    def take(self, chosen: Any) -> Calls:
        """Some of the calls."""
        return Calls(**{field.name: getattr(self, field.name)[chosen] for field in fields(self)})

    @property
    def tokens(self) -> Indices:
        """Tokens that take part."""
        return self.end - self.first


class WaveResults(NamedTuple):
    """Answers of each wave, and the counters of all launches."""

    answers: list[Answers]
    launches: tuple[LaunchResult, ...]


def waves(calls: Calls, parts: int) -> list[NDArray[np.intp]]:
    """Indices of the calls of each wave: every DPU at most once, and the parts of a head together."""
    heads = len(calls) // parts
    members = calls.dpu.reshape(heads, parts)
    result: list[list[int]] = []
    busy: list[set[int]] = []
    for head, dpus in enumerate(members.tolist()):
        wave = next((index for index, taken in enumerate(busy) if taken.isdisjoint(dpus)), len(busy))
        if wave == len(busy):
            busy.append(set())
            result.append([])
        busy[wave].update(dpus)
        result[wave].extend(range(head * parts, (head + 1) * parts))
    return [np.array(wave, np.intp) for wave in result]


def by_part(
    spec: AttentionSpec, answers: Sequence[Answers], in_waves: Sequence[NDArray[np.intp]], parts: int
) -> Answers:
    """Answers of waves as one record [parts, requests, heads, ...], of calls that are by request, KV head and part."""
    order = np.argsort(np.concatenate(in_waves))

    def arrange(*pieces: NDArray[Any]) -> NDArray[Any]:
        calls = np.concatenate(pieces)[order]
        heads = np.moveaxis(calls.reshape(-1, spec.kv_heads, parts, *calls.shape[1:]), 2, 0)
        return heads.reshape(parts, -1, spec.heads, *calls.shape[2:])

    return rearrange(answers, arrange)


class Runner:
    """Runs calls on the DPUs of `contexts`. Keeps what their arguments are, and pushes only what changes."""

    def __init__(self, contexts: Contexts) -> None:
        self._contexts = contexts
        self._pushed: dict[str, NDArray[np.signedinteger]] = {}

    def push_arguments(self, calls: Calls) -> None:
        """Tell every DPU what it is to do; those without a call have no tokens."""
        contexts, spec, layout = self._contexts, self._contexts.spec, self._contexts.layout
        rows = np.zeros((len(contexts.dpus), len(Argument)), np.int32)
        heap = contexts.heap_address
        for argument, value in {
            Argument.DIM: spec.dim,
            Argument.QUERIES: spec.queries,
            Argument.Q_BYTES: layout.q_bytes,
            Argument.ROW_BYTES: layout.row_bytes,
            Argument.Q: heap + layout.q,
            Argument.BIAS_STRIDE: layout.bias_stride,
            Argument.SCORES: heap + layout.scores,
            Argument.COLUMNS: contexts.wram.columns,
            Argument.BUFFER_BYTES: contexts.wram.buffer_bytes,
            Argument.PARTIALS: heap + layout.partials,
            Argument.OUTPUT: heap + layout.output,
            Argument.OUTPUT_BYTES: layout.output_bytes,
            Argument.STAGE: Stage.STATISTICS if self._in_two_launches else Stage.ALL,
        }.items():
            rows[:, argument] = value
        addresses = [
            contexts.addresses(Unit(*unit)) for unit in zip(calls.dpu.tolist(), calls.slot.tolist(), strict=True)
        ]
        rows[calls.dpu[:, None], [Argument.K, Argument.V, Argument.TABLE]] = addresses
        rows[calls.dpu, Argument.FIRST], rows[calls.dpu, Argument.END] = calls.first, calls.end
        rows[calls.dpu, Argument.FRACTION_BITS] = z_bits(self._visible(calls))
        if spec.alibi_slopes:
            table = BiasTable(contexts.partition, layout.capacity * contexts.partition.parts)
            start = heap + layout.biases + calls.slot * layout.bias_bytes
            rows[calls.dpu, Argument.BIASES] = start + table.start(calls.position, calls.part)
        self._push("arguments", rows)
        if spec.plans:
            self._push_constants(calls, self._plans(calls))

    def push_queries(self, calls: Calls, data: Bytes) -> None:
        """Send the rows of `Contexts.queries_as_rows`, one per call, to the DPUs of the calls."""
        contexts = self._contexts
        nr_dpus = len(contexts.dpus)
        if np.array_equal(calls.dpu, np.arange(nr_dpus)):
            contexts.dpus.copy(HEAP_NAME, data, offset=contexts.layout.q)
            return
        rows: list[NDArray[np.uint8] | None] = [None] * nr_dpus
        for dpu, row in zip(calls.dpu.tolist(), data, strict=True):
            rows[dpu] = row
        contexts.dpus.copy(HEAP_NAME, rows, offset=contexts.layout.q)

    def launch(self, calls: Calls) -> tuple[LaunchResult, ...]:
        """Run the calls of one wave, whose arguments and queries are there; gives the counters of its launches."""
        try:
            return self._launch(calls)
        except BaseException:
            self._pushed.clear()  # who knows in which stage the DPUs stopped
            raise

    def run(self, calls: Calls, data: Bytes, in_waves: Sequence[NDArray[np.intp]]) -> WaveResults:
        """Arguments, queries (as `push_queries`), launch and outputs of one wave after the other; see `by_part`."""
        answers: list[Answers] = []
        launches: tuple[LaunchResult, ...] = ()
        for wave in in_waves:
            chosen = calls.take(wave)
            self.push_arguments(chosen)
            self.push_queries(chosen, data[wave])
            launches += self.launch(chosen)
            answers.append(self.pull(chosen))
        return WaveResults(answers, launches)

    def pull(self, calls: Calls) -> Answers:
        """The answers of the calls of the last wave, leading axes [n, queries]."""
        outputs = self._pull(calls)
        return read_answers(self._contexts.spec, outputs, tokens=calls.tokens, visible=self._visible(calls))

    def pull_kept(self, calls: Calls) -> NDArray[np.bool_]:
        """The tokens that the calls of the last wave kept, bool [n, queries, capacity]: numbers in the part."""
        contexts = self._contexts
        rows = self._pull_rows(calls, contexts.layout.kept, contexts.layout.kept_bytes)
        return read_kept(
            contexts.spec,
            rows,
            first=calls.first,
            end=calls.end,
            capacity=contexts.layout.capacity,
            workers=contexts.nr_tasklets - 1,
        )

    @property
    def _in_two_launches(self) -> bool:
        return self._contexts.spec.norm == "zscore" and self._contexts.partition.parts > 1

    def _launch(self, calls: Calls) -> tuple[LaunchResult, ...]:
        dpus, parts = self._contexts.dpus, self._contexts.partition.parts
        first = dpus.exec()
        if not self._in_two_launches:
            return first
        statistics = read_statistics(self._pull(calls), calls.tokens)
        by_head = ScoreStatistics(*(np.stack([part[i::parts] for i in range(parts)]) for part in statistics))
        constants = constants_from_statistics(by_head)
        self._push_constants(calls, _columns(constants).repeat(parts, axis=0))
        return first + dpus.exec()

    def _pull(self, calls: Calls) -> RawOutputs:
        contexts = self._contexts
        nbytes = summed_rows(contexts.spec.norm, contexts.spec.queries) * contexts.layout.output_bytes
        return read_outputs(contexts.spec, self._pull_rows(calls, contexts.layout.output, nbytes))

    def _pull_rows(self, calls: Calls, offset: int, nbytes: int) -> Bytes:
        """Bytes [n, nbytes] from `offset` of the heap on, of the DPUs of the calls."""
        dpus, data = self._contexts.dpus, np.zeros((len(calls), nbytes), np.uint8)
        if np.array_equal(calls.dpu, np.arange(len(dpus))):
            dpus.copy(data, HEAP_NAME, offset=offset)
            return data
        rows: list[Bytes | None] = [None] * len(dpus)
        for dpu, row in zip(calls.dpu.tolist(), data, strict=True):
            rows[dpu] = row
        dpus.copy(rows, HEAP_NAME, offset=offset)
        return data

    def _visible(self, calls: Calls) -> Indices:
        """Tokens that take part in all parts of a call's head."""
        parts = self._contexts.partition.parts
        return calls.tokens.reshape(-1, parts).sum(axis=1).repeat(parts)

    def _plans(self, calls: Calls) -> NDArray[np.int64]:
        spec = self._contexts.spec
        table = np.zeros((spec.heads, len(SoftmaxConstant)), np.int64)
        for head, plan in enumerate(spec.plans):
            table[head, SoftmaxConstant.MULTIPLIER] = plan.multiplier
            table[head, SoftmaxConstant.SHIFT] = plan.shift
            table[head, SoftmaxConstant.PRE_SHIFT] = plan.pre_shift
            table[head, SoftmaxConstant.MAX_DIFFERENCE] = plan.max_difference
            table[head, SoftmaxConstant.PROBABILITY_BITS] = plan.probability_bits
        return table.reshape(spec.kv_heads, spec.queries, -1)[calls.kv_head]

    def _push_constants(self, calls: Calls, constants: NDArray[np.int64]) -> None:
        """Constants [n, queries, columns] of the calls' queries."""
        rows = np.zeros((len(self._contexts.dpus), MAX_QUERIES, constants.shape[2]), np.int64)
        rows[calls.dpu, : constants.shape[1]] = constants
        self._push("constants", rows.reshape(len(rows), -1))

    def _push(self, symbol: str, rows: NDArray[np.signedinteger]) -> None:
        known = self._pushed.get(symbol)
        if known is None or not np.array_equal(known, rows):
            self._pushed.pop(symbol, None)  # a transfer that fails may have reached some DPUs
            self._contexts.dpus.copy(symbol, rows)
            self._pushed[symbol] = rows


def _columns(constants: ZscoreConstants) -> NDArray[np.int64]:
    """Constants [...] as rows [..., columns] in the kernel's order."""
    columns = dict(
        zip(
            ZscoreConstant,
            (constants.centre, constants.shift, constants.mean, constants.inverse, constants.final_shift),
            strict=True,
        )
    )
    return np.stack([columns[column] for column in ZscoreConstant], axis=-1)
