"""Decode attention on this computer's CPU: the integers of `reference`, at the speed of compiled code (S0-7).

Owns the thread pool and the compilation of `cpu_kernels`. The structure is that of the published CPU program: batch x
heads are split evenly over the threads, and a thread does one head after the other.
"""

from __future__ import annotations

import functools
import hashlib
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from types import ModuleType
from typing import Any

import numba
import numpy as np
from numba import types
from numpy.typing import NDArray

from dpu_kernels.attention import Accumulation, Norm
from pim_runtime.compiler.cache_entry import code_generator, compile_cached

from .exponential import Exponential, exponential_table, power_of_two
from .integer_math import magnitude
from .operands import operand_dtype
from .ranges import check_ranges, score_dtype
from .softmax_plan import SoftmaxPlan
from .sums import SoftmaxSums, ZscoreSums
from .zscore import z_bits

__all__ = ["cpu_div_d", "cpu_softmax", "cpu_zscore"]

Integers = NDArray[np.signedinteger[Any]]


def cpu_div_d(q: Integers, k: Integers, v: Integers, *, acc: Accumulation, nr_threads: int) -> Integers:
    """Outputs [batch, query_heads, dim] of `reference.attention_div_d`, bit for bit, for any number of threads.

    q [batch, query_heads, dim], k and v [batch, kv_heads, tokens, dim], all int8, int16 or int32; query head h belongs
    to KV head h // (query_heads // kv_heads). acc="wrap": outputs of the operands' type; acc="wide": int64.

    Raises AccumulatorOverflow when wide sums cannot be proven to fit the magnitudes found, TypeError and ValueError
    for operands that do not belong together and for a number of threads below 1.
    """
    group = _check_operands(q, k, v, norm="div_d", acc=acc)
    shares = _shares(q.shape[0] * q.shape[1], nr_threads)
    wrap, operand = acc == "wrap", q.dtype
    score, output = (operand, operand) if wrap else (score_dtype(operand), np.dtype(np.int64))
    outputs = np.empty(q.shape, output)
    kernel = _compiled("div_d_head", (*_operand_types(operand), _row(score), _row(output)))

    def attend(first: int, last: int) -> None:
        scores = np.empty(k.shape[2], score)
        for index in range(first, last):
            request, head = divmod(index, q.shape[1])
            kernel(*_head(q, k, v, request, head, group), scores, outputs[request, head])

    _run(attend, shares)
    return outputs


def cpu_softmax(q: Integers, k: Integers, v: Integers, plans: Sequence[SoftmaxPlan], *, nr_threads: int) -> SoftmaxSums:
    """Sums of `reference.attention_softmax`, bit for bit, with leading axes [batch, query_heads].

    Operands as for `cpu_div_d`; plans: one per query head, or one for all. Raises as `cpu_div_d`, ValueError also for
    another number of plans.
    """
    if len(plans) not in (1, q.shape[1] if q.ndim == 3 else 1):
        raise ValueError(f"{len(plans)} softmax plans for queries {q.shape}: one for all query heads, or one for each")
    bits = max(plan.probability_bits for plan in plans)
    group = _check_operands(q, k, v, norm="softmax", acc="wide", probability_bits=bits)
    shares = _shares(q.shape[0] * q.shape[1], nr_threads)
    score, wide = score_dtype(q.dtype), np.dtype(np.int64)
    sums = SoftmaxSums(
        maximum=np.empty(q.shape[:2], np.int64),
        weight_sum=np.empty(q.shape[:2], np.uint64),
        weighted_values=np.empty(q.shape, np.int64),
    )
    powers = types.Array(types.int64, 1, "C", readonly=True)
    constants = (types.int64,) * 5
    kernel = _compiled(
        "softmax_head", (*_operand_types(q.dtype), _row(score), _row(wide), powers, *constants, _row(wide))
    )

    def attend(first: int, last: int) -> None:
        scores, weights = np.empty(k.shape[2], score), np.empty(k.shape[2], wide)
        for index in range(first, last):
            request, head = divmod(index, q.shape[1])
            plan = plans[head % len(plans)]
            sums.maximum[request, head], sums.weight_sum[request, head] = kernel(
                *_head(q, k, v, request, head, group),
                scores,
                weights,
                _powers(plan.exponential),
                plan.multiplier,
                plan.shift,
                plan.pre_shift,
                plan.max_difference,
                plan.probability_bits,
                sums.weighted_values[request, head],
            )

    _run(attend, shares)
    return sums


def cpu_zscore(q: Integers, k: Integers, v: Integers, *, nr_threads: int) -> ZscoreSums:
    """Sums of `zscore.attention_zscore`, bit for bit, with leading axes [batch, query_heads]. As `cpu_div_d`, wide."""
    group = _check_operands(q, k, v, norm="zscore", acc="wide")
    shares = _shares(q.shape[0] * q.shape[1], nr_threads)
    score, wide = score_dtype(q.dtype), np.dtype(np.int64)
    fraction_bits = z_bits(k.shape[2])
    sums = ZscoreSums(weighted_values=np.empty(q.shape, wide), fraction_bits=np.full(q.shape[:2], fraction_bits))
    kernel = _compiled("zscore_head", (*_operand_types(q.dtype), _row(score), _row(wide), types.int64, _row(wide)))

    def attend(first: int, last: int) -> None:
        scores, weights = np.empty(k.shape[2], score), np.empty(k.shape[2], wide)
        for index in range(first, last):
            request, head = divmod(index, q.shape[1])
            rows = _head(q, k, v, request, head, group)
            kernel(*rows, scores, weights, int(fraction_bits), sums.weighted_values[request, head])

    _run(attend, shares)
    return sums


def _head(q: Integers, k: Integers, v: Integers, request: int, head: int, group: int) -> tuple[Integers, ...]:
    """The rows of one query head; copied only where they do not lie side by side."""
    rows = q[request, head], k[request, head // group], v[request, head // group]
    return tuple(map(np.ascontiguousarray, rows))


def _shares(nr_heads: int, nr_threads: int) -> list[tuple[int, int]]:
    """Heads [first, last) of each thread; no two shares differ by more than one head. At most one thread per head."""
    if nr_threads < 1:
        raise ValueError(f"{nr_threads} threads: at least 1")
    threads = min(nr_threads, nr_heads)
    return [(nr_heads * thread // threads, nr_heads * (thread + 1) // threads) for thread in range(threads)]


def _run(attend: Callable[[int, int], None], shares: list[tuple[int, int]]) -> None:
    """Call `attend(first, last)` for every share, each in a thread of its own."""
    with ThreadPoolExecutor(len(shares)) as pool:
        for running in [pool.submit(attend, *share) for share in shares]:
            running.result()


def _check_operands(
    q: Integers, k: Integers, v: Integers, *, norm: Norm, acc: Accumulation, probability_bits: int = 24
) -> int:
    """Query heads per KV head. Raises TypeError, ValueError and AccumulatorOverflow."""
    dtype = operand_dtype(q.dtype)
    if not k.dtype == v.dtype == dtype:
        raise TypeError(f"attention of {dtype} queries with {k.dtype} keys and {v.dtype} values: one type for all.")
    if q.ndim != 3 or k.ndim != 4 or k.shape != v.shape or k.shape[::3] != q.shape[::2]:
        raise ValueError(
            f"queries {q.shape} with keys {k.shape} and values {v.shape}: the shapes are [batch, query_heads, dim] "
            "and twice [batch, kv_heads, tokens, dim]."
        )
    if 0 in (*q.shape, *k.shape) or q.shape[1] % k.shape[1]:
        raise ValueError(
            f"queries {q.shape} with keys {k.shape}: no axis is empty, and query heads are a multiple of KV heads."
        )
    q_max, k_max, v_max = (0, 0, 0) if acc == "wrap" else map(magnitude, (q, k, v))  # wrapping needs no proof
    check_ranges(
        dtype=dtype,
        norm=norm,
        acc=acc,
        dim=k.shape[3],
        max_tokens=k.shape[2],
        q_max=q_max,
        k_max=k_max,
        v_max=v_max,
        probability_bits=probability_bits,
    )
    return q.shape[1] // k.shape[1]


@functools.cache
def _powers(exponential: Exponential) -> NDArray[np.int64]:
    """y of every fraction, int64 [65536], read-only: one kernel for all variants of K-7."""
    powers = power_of_two(np.arange(2**16), exponential, exponential_table(exponential))
    powers.setflags(write=False)
    return powers


def _row(dtype: np.dtype[Any]) -> Any:
    return types.Array(numba.from_dtype(dtype), 1, "C")


def _operand_types(dtype: np.dtype[Any]) -> tuple[Any, ...]:
    """Types of q, k and v of one head. Read-only, which numba converts any array to: operands may be views."""
    element = numba.from_dtype(dtype)
    q, rows = (types.Array(element, ndim, "C", readonly=True) for ndim in (1, 2))
    return q, rows, rows


@functools.cache
def _compiled(name: str, argument_types: tuple[Any, ...]) -> Callable[..., Any]:
    """A function of `cpu_kernels` for these types and no others: from the disk cache, or compiled now and stored there.

    Before the threads start, since they would compile it one after the other.
    """
    kernels = _kernels()
    kernel: Callable[..., Any] = numba.njit(nogil=True)(getattr(kernels, name))
    types_hash = hashlib.sha256(str(argument_types).encode()).hexdigest()[:24]
    compile_cached(kernel, argument_types, f"{kernels.__name__}_{name}_{types_hash}")
    return kernel


@functools.cache
def _kernels() -> ModuleType:
    """`cpu_kernels` with compiled helpers, under a name that is a hash of what decides the machine code, as a driver's
    is: a module of its own, known to `sys`, where numba looks when it reads a cache entry."""
    source = files(__package__).joinpath("cpu_kernels.py").read_text(encoding="utf-8")
    name = f"pim_cpu_kernels_{hashlib.sha256((source + code_generator()).encode()).hexdigest()[:24]}"
    module = ModuleType(name)
    sys.modules[name] = module
    exec(compile(source, f"<{name}>", "exec"), vars(module))
    for helper in ("shift_rounded", "score_rows", "sum_rows", "divided", "bit_length", "square_root"):
        setattr(module, helper, numba.njit(nogil=True)(getattr(module, helper)))
    return module
