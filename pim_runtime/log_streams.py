"""Where the logs of a set's DPUs go: one stream for all, or one per DPU (upmem-sdk 1.2 and 1.7)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

from .errors import ArgumentError

__all__ = ["LogStreams", "LogTarget"]

LogTarget = TextIO | Sequence[TextIO | None] | None


class LogStreams:
    """The streams that a set of `nr_dpus` DPUs was made with. Raises ArgumentError when a list has another length."""

    def __init__(self, target: LogTarget, nr_dpus: int) -> None:
        if isinstance(target, Sequence) and len(target) != nr_dpus:
            raise ArgumentError(
                f"log list length does not match number of DPUs in DpuSet: {len(target)} streams for {nr_dpus} DPUs"
            )
        self._target = target
        for stream in target if isinstance(target, Sequence) else [target]:
            _check(stream)

    def of(self, dpu: int) -> TextIO | None:
        """The stream of one DPU of the set."""
        return self._target[dpu] if isinstance(self._target, Sequence) else self._target

    def during(self, target: LogTarget, dpus: range) -> dict[int, TextIO]:
        """Streams by DPU for one launch; where `target` has none, the set's own. Raises ArgumentError."""
        if isinstance(target, Sequence):
            if len(target) != len(dpus):
                raise ArgumentError(
                    "cannot log, log list length does not match the number of DPUs in DpuSet: "
                    f"{len(target)} streams for {len(dpus)} DPUs"
                )
            chosen = {dpu: stream or self.of(dpu) for dpu, stream in zip(dpus, target, strict=True)}
        else:
            chosen = {dpu: target or self.of(dpu) for dpu in dpus}
        for stream in chosen.values():
            _check(stream)
        return {dpu: stream for dpu, stream in chosen.items() if stream is not None}


def _check(stream: TextIO | None) -> None:
    if stream is not None and not callable(getattr(stream, "write", None)):
        raise ArgumentError(f"stream argument is not an object with a 'write' method: {stream!r}")
