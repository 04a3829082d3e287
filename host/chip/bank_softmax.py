"""Attention with a bank for each head, which does the softmax too: the attention program on banks of its own.

A DPU runs one program at a time, so these banks hold K and V and no weights: the skewed placement that document 2's own
context needs (E2-11), at its end. K and V of all layers are in them, one context of a `KvCache` per layer.
"""

from __future__ import annotations

from host.attention.kv_cache import KvCache
from host.attention.spec import AttentionSpec
from host.attention.sums import SoftmaxSums
from host.llm.engine import Vectors, joined
from pim_runtime import EngineOptions, Machine
from pim_runtime.symbols import HEAP_NAME
from pim_runtime.timeline import Row

from .traffic import Moved, Traffic

__all__ = ["BankSoftmax"]


class BankSoftmax:
    """A bank for each KV head. Raises CapacityError when a bank has no room for the caches of all layers."""

    def __init__(
        self,
        spec: AttentionSpec,
        *,
        layers: int,
        traffic: Traffic,
        machine: Machine,
        options: EngineOptions | None,
    ) -> None:
        self._traffic = traffic
        self._cache = KvCache(spec, nr_dpus=spec.kv_heads, contexts_per_dpu=layers, machine=machine, options=options)
        self.dpus = self._cache.dpus

    def free(self) -> None:
        """Give the DPUs back."""
        self._cache.free()

    def attend(self, layer: int, q: Vectors, k: Vectors, v: Vectors) -> SoftmaxSums:
        """As host.llm.engine.Engine says."""
        answers = []
        for row, key, value in zip(q, k, v, strict=True):
            before = len(self.dpus.timeline)
            if layer in self._cache.requests:
                self._cache.append({layer: (key, value)})
            else:
                self._cache.join(layer, key[:, None], value[:, None])
            appended = len(self.dpus.timeline)
            answer = self._cache.decode({layer: row})[layer]
            assert isinstance(answer, SoftmaxSums)
            answers.append(answer)
            rows = self.dpus.timeline.rows
            self._traffic.add(
                "append", Moved(transfers=_data_transfers(rows[before:appended]), down=key.size + value.size)
            )
            moved = Moved(transfers=_data_transfers(rows[appended:]), down=row.size, up=answer.weighted_values.size)
            self._traffic.add("kv", moved)
            self._traffic.add("orders", Moved(transfers=_transfers(rows[before:]) - _data_transfers(rows[before:])))
        return joined(answers)

    def forget(self) -> None:
        """As host.llm.engine.Engine says."""
        for layer in self._cache.requests:
            self._cache.leave(layer)


def _transfers(rows: list[Row]) -> int:
    return sum(row.operation in ("write", "read") for row in rows)


def _data_transfers(rows: list[Row]) -> int:
    """Transfers of operands and results; the others tell the program where they are."""
    return _transfers([row for row in rows if row.what == HEAP_NAME])
