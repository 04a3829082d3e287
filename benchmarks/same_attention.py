"""Attention with the same work for every DPU, so that what is measured does not depend on who gets which data."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from host.attention.attention_set import AttentionSet
from host.attention.workload import Workload
from pim_runtime import EngineOptions

__all__ = ["same_attention"]


@contextmanager
def same_attention(one: Workload, nr_dpus: int, options: EngineOptions | None = None) -> Iterator[AttentionSet]:
    """DPUs that each have a copy of K, V and the first query of `one`, which has one head of one request."""
    rows, dim = (nr_dpus, *one.k.shape[1:]), one.k.shape[-1]
    with AttentionSet(one.spec, batch=nr_dpus, options=options) as attention:
        attention.load_kv(np.broadcast_to(one.k, rows), np.broadcast_to(one.v, rows))
        attention.push_q(np.ascontiguousarray(np.broadcast_to(one.queries[0], (nr_dpus, 1, dim))))
        yield attention
