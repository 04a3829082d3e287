"""A way to use a machine, before a batch is chosen: what was chosen, how much fits, what a step costs.

Owns the one record that all machines come down to; `memory_variants` and `gpu_variants` make them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from host.machines.cost import Cost, EnergyOrigin

__all__ = ["Scope", "Variant"]

Scope = Literal["model", "attention"]
"""What runs on the machine: all of a decode step, or its attention with the KV cache, as in document 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One partition and schedule on a machine.

    choices: what it is, as {"weights": "1-D, outputs over 128 units"}. smallest_batch: that it can be used with.
    largest_batch: requests that fit; raises MachineCapacityError if not even the weights do. price: cost of a decode
    step of a batch between the two.
    """

    machine: str
    choices: Mapping[str, str]
    largest_batch: Callable[[], int]
    price: Callable[[int], Cost]
    energy: EnergyOrigin
    smallest_batch: int = 1
