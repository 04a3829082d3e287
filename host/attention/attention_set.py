"""Attention on DPUs: one head of one request per DPU, K and V resident in MRAM (S0-1).

Owns the conversation with the DPUs: layout, arguments, transfers, launches. Operands are integers already
(`quantise`); what they mean in real numbers is the caller's business (`output`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpu_kernels.attention import Accumulation, Argument, Norm, attention_program, output_kind, output_length
from pim_runtime import DpuProgram, DpuSet, EngineOptions, Machine
from pim_runtime.device import IntegerType
from pim_runtime.device.integers import as_integer_type
from pim_runtime.symbols import HEAP_NAME
from pim_runtime.timeline import Timeline

from .instruction_counts import state_slots
from .layout import plan_layout
from .operands import operand_dtype
from .ranges import check_ranges
from .softmax_plan import SoftmaxPlan
from .sums import SoftmaxSums

__all__ = ["AttentionSet"]

USUAL_DIMS = (64, 128)

Integers = NDArray[np.signedinteger[Any]]


class AttentionSet:
    """`batch` x `heads` DPUs, each with one head of one request.

    dim, max_tokens: size of a head; capacity is checked here. dtype: int8, int16 or int32.
    norm: "div_d" (score / dim, truncated) or "softmax". acc: "wrap" computes in the operands' type as the published C
    program does (div_d only), "wide" exactly.
    operand_max: greatest magnitude of any operand; the accumulators are proven for it (K-1).
    plans: one SoftmaxPlan per head, or one for all (softmax only).
    nr_tasklets: 2 to 24: one master and the workers.

    Raises AccumulatorOverflow and CapacityError at once, ValueError for arguments that do not belong together.
    """

    def __init__(
        self,
        *,
        batch: int,
        heads: int,
        dim: int,
        max_tokens: int,
        dtype: Any,
        norm: Norm,
        acc: Accumulation = "wide",
        operand_max: int,
        plans: tuple[SoftmaxPlan, ...] = (),
        nr_tasklets: int = 17,
        machine: Machine | None = None,
        options: EngineOptions | None = None,
    ) -> None:
        if batch < 1 or heads < 1:
            raise ValueError(f"batch {batch} x heads {heads}: both must be at least 1")
        if not 2 <= nr_tasklets <= 24:
            raise ValueError(f"{nr_tasklets} tasklets: attention needs a master and at least one worker, 2 to 24")
        if (norm == "softmax") != bool(plans) or len(plans) not in (0, 1, heads):
            raise ValueError(f"{len(plans)} softmax plans for {heads} heads with norm {norm!r}")
        self.batch, self.heads, self.norm, self.acc = batch, heads, norm, acc
        self.dtype = operand_dtype(dtype)
        self.kind = as_integer_type(self.dtype)
        check_ranges(
            dtype=self.dtype,
            norm=norm,
            acc=acc,
            dim=dim,
            max_tokens=max_tokens,
            q_max=operand_max,
            k_max=operand_max,
            v_max=operand_max,
            probability_bits=max((plan.probability_bits for plan in plans), default=24),
        )
        self.operand_max, self._plans, self.tokens = operand_max, plans, 0
        self.dpus = DpuSet(batch * heads, machine=machine, options=options)
        try:
            binary = self.dpus.load(_program(self.kind, norm, acc, dim), nr_tasklets=nr_tasklets)
            self.layout = plan_layout(
                kind=self.kind,
                norm=norm,
                acc=acc,
                dim=dim,
                max_tokens=max_tokens,
                heap_bytes=binary.mram_heap_bytes,
            )
            self._heap_address = binary.symbols[HEAP_NAME].address
            self._arguments = self._initial_arguments()
            if plans:
                self.dpus.copy("exp2_table", plans[0].table.view(np.uint8))
        except BaseException:
            self.dpus.free()
            raise

    def __enter__(self) -> AttentionSet:
        return self

    def __exit__(self, *exception: object) -> None:
        self.free()

    def free(self) -> None:
        """Give the DPUs back."""
        self.dpus.free()

    @property
    def timeline(self) -> Timeline:
        """Every transfer and launch with its modelled time."""
        return self.dpus.timeline

    def load_kv(self, k: Integers, v: Integers) -> None:
        """Put the context into the DPUs: k, v [batch, heads, tokens, dim], replacing what was there.

        Also states the kernel's instruction slots, from these rows: they are not stated again by `append`.
        """
        tokens = k.shape[2] if k.ndim == 4 else self.layout.max_tokens
        if not 1 <= tokens <= self.layout.max_tokens:
            raise ValueError(f"{tokens} tokens: this set was made for 1 to {self.layout.max_tokens}")
        self._check_operands((self.batch, self.heads, tokens, self.layout.dim), k=k, v=v)
        self._write_rows(self.layout.k, k)
        self._write_rows(self.layout.v, v)
        slots = state_slots(
            kind=self.kind,
            norm=self.norm,
            acc=self.acc,
            k=k[0, 0],
            v=v[0, 0],
            plan=self._plans[0] if self._plans else None,
        )
        self._arguments[..., Argument.SCORE_SLOTS] = slots.score
        self._arguments[..., Argument.NORM_SLOTS] = slots.norm
        self._arguments[..., Argument.SUM_SLOTS] = slots.weighted_row
        self._arguments[..., Argument.MERGE_SLOTS] = slots.merged_row
        self._set_tokens(tokens)

    def append(self, k: Integers, v: Integers) -> None:
        """Add one token to every head: k, v [batch, heads, dim]. Nothing changes when it is refused."""
        self._check_operands((self.batch, self.heads, self.layout.dim), k=k, v=v)
        if not 1 <= self.tokens < self.layout.max_tokens:
            raise ValueError(
                f"append to {self.tokens} tokens: load_kv comes first, and this set holds {self.layout.max_tokens}"
            )
        offset = self.tokens * self.layout.row_bytes
        self._write_rows(self.layout.k + offset, k[:, :, None])
        self._write_rows(self.layout.v + offset, v[:, :, None])
        self._set_tokens(self.tokens + 1)

    def push_q(self, q: Integers) -> None:
        """Send one query per head: q [batch, heads, dim]."""
        self._check_operands((self.batch, self.heads, self.layout.dim), q=q)
        self._write_rows(self.layout.q, q[:, :, None])

    def launch(self) -> None:
        """Run attention on every DPU and wait."""
        if not self.tokens:
            raise ValueError("launch before load_kv: there are no tokens to attend to")
        self.dpus.exec()

    def pull_o(self) -> Integers | SoftmaxSums:
        """The outputs [batch, heads, dim]: integers for norm "div_d", SoftmaxSums for "softmax"."""
        kind, length = output_kind(self.kind, self.acc), output_length(self.layout.dim, self.norm)
        rows = np.zeros((len(self.dpus), self.layout.output_bytes), np.uint8)
        self.dpus.copy(rows, HEAP_NAME, offset=self.layout.output)
        values = rows.view(kind.dtype)[:, :length].reshape(self.batch, self.heads, length)
        if self.norm == "div_d":
            return values.copy()
        dim = self.layout.dim
        return SoftmaxSums(
            maximum=values[..., dim].copy(),
            weight_sum=values[..., dim + 1].astype(np.uint64),
            weighted_values=values[..., :dim].copy(),
        )

    def decode(self, q: Integers) -> Integers | SoftmaxSums:
        """One decode step: push_q, launch, pull_o."""
        self.push_q(q)
        self.launch()
        return self.pull_o()

    def _initial_arguments(self) -> NDArray[np.int64]:
        layout, heap = self.layout, self._heap_address
        arguments = np.zeros((self.batch, self.heads, len(Argument)), np.int64)
        for argument, value in {
            Argument.DIM: layout.dim,
            Argument.ROW_BYTES: layout.row_bytes,
            Argument.Q: heap + layout.q,
            Argument.K: heap + layout.k,
            Argument.V: heap + layout.v,
            Argument.SCORES: heap + layout.scores,
            Argument.PARTIALS: heap + layout.partials,
            Argument.OUTPUT: heap + layout.output,
            Argument.OUTPUT_BYTES: layout.output_bytes,
        }.items():
            arguments[..., argument] = value
        for head, plan in enumerate(self._plans if len(self._plans) != 1 else self._plans * self.heads):
            arguments[:, head, Argument.MULTIPLIER] = plan.multiplier
            arguments[:, head, Argument.SHIFT] = plan.shift
            arguments[:, head, Argument.PRE_SHIFT] = plan.pre_shift
            arguments[:, head, Argument.MAX_DIFFERENCE] = plan.max_difference
            arguments[:, head, Argument.PROBABILITY_BITS] = plan.probability_bits
        return arguments

    def _set_tokens(self, tokens: int) -> None:
        self.tokens = tokens
        self._arguments[..., Argument.TOKENS] = tokens
        self.dpus.copy("arguments", self._arguments.reshape(len(self.dpus), -1))

    def _write_rows(self, offset: int, rows: Integers) -> None:
        """Write [batch, heads, n, dim] to `offset` of every DPU's heap; copied only when rows need padding."""
        nr_rows = rows.shape[2]
        data = np.ascontiguousarray(rows).view(np.uint8).reshape(len(self.dpus), nr_rows, -1)
        if data.shape[2] != self.layout.row_bytes:
            data = np.pad(data, ((0, 0), (0, 0), (0, self.layout.row_bytes - data.shape[2])))
        self.dpus.copy(HEAP_NAME, data.reshape(len(self.dpus), -1), offset=offset)

    def _check_operands(self, shape: tuple[int, ...], **operands: Integers) -> None:
        for name, operand in operands.items():
            if operand.shape != shape or operand.dtype != self.dtype:
                raise ValueError(f"{name} is {operand.dtype} {operand.shape}, but this set takes {self.dtype} {shape}")
            largest = max(-int(operand.min()), int(operand.max()))
            if self.acc == "wide" and largest > self.operand_max:
                raise ValueError(f"{name} reaches {largest}, but the accumulators were proven for {self.operand_max}")


def _program(kind: IntegerType, norm: Norm, acc: Accumulation, dim: int) -> DpuProgram:
    """Usual head sizes have a program each; compiling one for every odd size would take longer than running it."""
    return attention_program(kind, norm, acc, dim if dim in USUAL_DIMS else 0)
