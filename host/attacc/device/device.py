"""AttAcc devices of several stacks: K and V of a batch in their channels, and queries answered by streams of commands.

Owns which head lives where: heads of all requests go round the stacks, then round the channels of a stack, so that a
wave has one head per channel (S1-9). What `AttentionSet` is for DPUs; the answers are the same bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from host.attention.host_memory import check_host_memory
from host.attention.spec import AttentionSpec
from host.attention.sums import SoftmaxSums
from host.machines.capacity import MachineCapacityError, how_many_fit
from host.machines.hbm_pim import HbmPim

from .activity import Activity
from .assembler import head_stream
from .channel import Channel
from .commands import Command, SetModel
from .geometry import HeadGeometry
from .memory import ChannelMemory

__all__ = ["AttaccDevice", "Step"]

Integers = NDArray[np.signedinteger[Any]]


class Step(NamedTuple):
    """Answers [batch, heads, dim] of a decode step, and what each channel did; channels without heads are left out."""

    answers: SoftmaxSums
    activities: dict[tuple[int, int], Activity]


class _Pass(NamedTuple):
    """Queries that one reading of K and V answers: query heads `first_head` and after of a request."""

    request: int
    kv_head: int
    first_head: int
    queries: int


class AttaccDevice:
    """`batch` requests on all stacks of `hardware`, whose devices share the heads.

    reuse_rows: query heads of one KV head that a unit multiplies with a row of K or V once it is read (S1-12, GQA).

    Raises MachineCapacityError when the contexts do not fit, ValueError for what the device does not compute, and for
    more than this computer has memory for.
    """

    def __init__(self, spec: AttentionSpec, hardware: HbmPim, *, batch: int, reuse_rows: int = 1) -> None:
        _check(spec)
        for name, size in {"batch": batch, "reuse_rows": reuse_rows}.items():
            if size < 1:
                raise ValueError(f"{name} = {size}: must be at least 1")
        self.spec, self.hardware, self.batch, self.reuse_rows, self.tokens = spec, hardware, batch, reuse_rows, 0
        self._nr_stacks = hardware.stacks.devices * hardware.stacks.stacks_per_device
        self._geometry = HeadGeometry(hardware=hardware, dim=spec.dim, element_bits=spec.operands.bits)
        nr_heads = batch * spec.kv_heads
        channels = min(nr_heads, self._nr_stacks * hardware.stacks.channels)
        self._matrix_rows = self._geometry.rows(spec.max_tokens)
        heads_per_channel = -(-nr_heads // channels)
        self._check_capacity(heads_per_channel, channels)
        self._channels = [
            Channel(
                hardware,
                self._memory(heads_per_channel),
                stack=index % self._nr_stacks,
                channel=index // self._nr_stacks,
                reuse_rows=reuse_rows,
            )
            for index in range(channels)
        ]

    @property
    def passes_per_kv_head(self) -> int:
        """How often K and V of a head are read for one step."""
        return -(-self.spec.queries // self.reuse_rows)

    @property
    def kv_bytes(self) -> int:
        """Bytes of K and V that the requests have."""
        return 2 * self.batch * self.spec.kv_heads * self.tokens * self.spec.dim * self.spec.operands.bits // 8

    def load_kv(self, k: Integers, v: Integers) -> None:
        """Write the context into the banks: k, v [batch, kv_heads, tokens, dim], replacing what was there."""
        tokens = k.shape[2] if k.ndim == 4 else self.spec.max_tokens
        if not 1 <= tokens <= self.spec.max_tokens:
            raise ValueError(f"{tokens} tokens: this device was set up for 1 to {self.spec.max_tokens}")
        self.spec.check_kv((self.batch, self.spec.kv_heads, tokens, self.spec.dim), k=k, v=v)
        self._write(0, k, v)
        self.tokens = tokens

    def append(self, k: Integers, v: Integers) -> None:
        """Add one token to every request: k, v [batch, kv_heads, dim]. Nothing changes when it is refused."""
        self.spec.check_kv((self.batch, self.spec.kv_heads, self.spec.dim), k=k, v=v)
        if not self.tokens:
            raise ValueError("append before load_kv: there are no tokens yet")
        if self.tokens == self.spec.max_tokens:
            raise MachineCapacityError(
                f"append to {self.tokens} tokens: this device was set up for at most {self.spec.max_tokens}"
            )
        self._write(self.tokens, k[:, :, None], v[:, :, None])
        self.tokens += 1

    def decode(self, q: Integers, *, advance: Callable[[int], None] | None = None) -> Step:
        """Attention of one query per head, q [batch, heads, dim], to all tokens: assemble, execute, read.

        `advance(n)` is called when a channel is done with its n heads of K and V.
        """
        spec = self.spec
        spec.check_q((self.batch, spec.heads, spec.dim), q=q)
        self._check_loaded()
        maximum = np.zeros((self.batch, spec.heads), np.int64)
        weight_sum = np.zeros((self.batch, spec.heads), np.uint64)
        values = np.zeros((self.batch, spec.heads, spec.dim), np.int64)
        activities = {}
        for index, channel in enumerate(self._channels):
            run = channel.run(self._stream(index, q))
            replies = iter(run.replies)
            for work in self._passes(index):
                for head in range(work.first_head, work.first_head + work.queries):
                    largest, total = next(replies).tolist()
                    columns = np.stack([next(replies) for _ in range(self._geometry.columns)], axis=1)
                    maximum[work.request, head], weight_sum[work.request, head] = largest, total
                    values[work.request, head] = self._geometry.from_columns(columns[None])[0]
            activities[channel.stack, channel.channel] = run.activity
            if advance is not None:
                advance(len(range(index, self.batch * spec.kv_heads, len(self._channels))))
        return Step(SoftmaxSums(maximum, weight_sum, values), activities)

    def stream(self, q: Integers, *, stack: int, channel: int) -> Iterator[Command]:
        """The commands that `decode` gives to a channel. Raises ValueError for a channel without heads."""
        self._check_loaded()
        index = channel * self._nr_stacks + stack
        if not 0 <= stack < self._nr_stacks or not 0 <= index < len(self._channels):
            raise ValueError(f"stack {stack}, channel {channel}: no head lives there")
        return self._stream(index, q)

    def _stream(self, index: int, q: Integers) -> Iterator[Command]:
        operands = self.spec.operands
        yield SetModel(self.spec.dim, operands.bits, 8 * operands.dtype.itemsize)
        for work in self._passes(index):
            heads = slice(work.first_head, work.first_head + work.queries)
            key_row, value_row = self._first_rows(work.request * self.spec.kv_heads + work.kv_head)
            yield from head_stream(
                self._geometry,
                q[work.request, heads],
                self.spec.plans[heads],
                tokens=self.tokens,
                key_row=key_row,
                value_row=value_row,
            )

    def _passes(self, index: int) -> Iterator[_Pass]:
        """What a channel does for one step, in order."""
        group = self.spec.queries
        for head in range(index, self.batch * self.spec.kv_heads, len(self._channels)):
            request, kv_head = divmod(head, self.spec.kv_heads)
            for first in range(0, group, self.reuse_rows):
                queries = min(self.reuse_rows, group - first)
                yield _Pass(request, kv_head, kv_head * group + first, queries)

    def _first_rows(self, head: int) -> tuple[int, int]:
        """Rows where K and V of a head of a request begin, in its channel."""
        key_row = head // len(self._channels) * 2 * self._matrix_rows
        return key_row, key_row + self._matrix_rows

    def _write(self, first_token: int, k: Integers, v: Integers) -> None:
        for head, (request, kv_head) in enumerate(np.ndindex(self.batch, self.spec.kv_heads)):
            memory = self._channels[head % len(self._channels)].memory
            for first_row, matrix in zip(self._first_rows(head), (k, v), strict=True):
                memory.write(self._geometry, matrix[request, kv_head], first_row=first_row, first_token=first_token)

    def _memory(self, heads: int) -> ChannelMemory:
        return ChannelMemory(
            self.hardware,
            rows=2 * self._matrix_rows * heads,
            dtype=self.spec.operands.dtype,
            element_bits=self.spec.operands.bits,
        )

    def _check_capacity(self, heads_per_channel: int, channels: int) -> None:
        row_bytes = self._geometry.columns_per_row * self.hardware.units.command_bytes
        fit = how_many_fit(
            room_bytes=self.hardware.banks.rows * row_bytes,
            resident_bytes=0,
            each_bytes=2 * self._matrix_rows * row_bytes,
            what=f"heads of {self.spec.max_tokens} tokens in a bank",
        )
        if fit < heads_per_channel:
            raise MachineCapacityError(
                f"{heads_per_channel} heads of {self.spec.max_tokens} tokens x {self.spec.dim} per channel: its banks "
                f"hold {fit}: take fewer requests, shorter contexts or more stacks"
            )
        units, banks, operands = self.hardware.units, self.hardware.banks, self.spec.operands
        head_bytes = 2 * self._matrix_rows * row_bytes * units.pseudo_channels * banks.groups * banks.banks
        rows_bytes = channels * heads_per_channel * head_bytes * 8 * operands.dtype.itemsize // operands.bits
        check_host_memory(
            rows_bytes,
            what=f"the {rows_bytes:,} bytes of the rows that K and V lie in",
            mend="use fewer requests or heads, shorter contexts, or heads that fill columns",
        )

    def _check_loaded(self) -> None:
        if not self.tokens:
            raise ValueError("queries before load_kv: there are no tokens to attend to")


def _check(spec: AttentionSpec) -> None:
    for name, value, computed in (
        ("norm", spec.norm, spec.norm == "softmax"),
        ("window", spec.window, spec.window is None),
        ("alibi_slopes", spec.alibi_slopes, not spec.alibi_slopes),
    ):
        if not computed:
            raise ValueError(f"{name} = {value!r}: the device computes softmax over all tokens, without biases")
