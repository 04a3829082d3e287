"""Parts of a decode step by class, as document 1 and the public simulator add them up. Owns which part is in which."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from host.machines.cost import Cost

from .energy import Energy, total

__all__ = ["PartClass", "energy_by_class", "seconds_by_class"]

PartClass = Literal["attention", "softmax", "FC", "communication", "norm, activation"]

CLASS_OF: Mapping[str, PartClass] = {
    "qkv": "FC",
    "score": "attention",
    "softmax": "softmax",
    "context": "attention",
    "projection": "FC",
    "ffn_up": "FC",
    "ffn_down": "FC",
    "transfers": "communication",
    "send q, k, v": "communication",
    "return outputs": "communication",
    "all-reduce": "communication",
    "norm": "norm, activation",
    "activation": "norm, activation",
}


def seconds_by_class(cost: Cost) -> dict[PartClass, float]:
    """Of a step or a layer: what remains of each class beside what it overlaps, which adds up to the whole.

    Of batch_level, whose two sides overlap as wholes, it is all that each class takes, which is more than the whole.
    """
    seconds: dict[PartClass, float] = dict.fromkeys(get_args(PartClass), 0.0)
    _collect(cost, seconds)
    return seconds


def energy_by_class(energies: Mapping[str, Energy]) -> dict[PartClass, Energy]:
    """Of the parts of a step, by their names."""
    return {
        part_class: total([energy for name, energy in energies.items() if CLASS_OF[name] == part_class])
        for part_class in get_args(PartClass)
    }


def _collect(cost: Cost, seconds: dict[PartClass, float]) -> None:
    if cost.name in CLASS_OF:
        seconds[CLASS_OF[cost.name]] += cost.seconds
        return
    for part in cost.parts:
        _collect(part, seconds)
