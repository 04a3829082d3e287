"""What a run on the side may choose, and results must not depend on: the order of tasklets, and undefined memory."""

from __future__ import annotations

from typing import NamedTuple

from ..engine.turns import TaskletOrder

__all__ = ["ACTUAL", "CYCLIC", "OTHER_POISON", "POISON", "Conditions", "Order", "other_orders"]

POISON, OTHER_POISON = 0xA5, 0x5A


class Order(NamedTuple):
    """A tasklet order of the interpreted engine, and its seed."""

    kind: TaskletOrder
    seed: int

    @property
    def repeat(self) -> str:
        """The engine options that run a launch in this order."""
        return f"EngineOptions(engine='interpreted', tasklet_order={self.kind!r}, seed={self.seed})"

    def __str__(self) -> str:
        return f"the {self.kind} order" if self.kind == "cyclic" else f"the {self.kind} order with seed {self.seed}"


CYCLIC = Order("cyclic", 0)


def other_orders(first_seed: int, count: int) -> list[Order]:
    """Orders to compare with the cyclic one: every other lets tasklets starve, the rest mix their steps."""
    return [Order("priority" if index % 2 else "random", first_seed + index) for index in range(count)]


class Conditions(NamedTuple):
    """An order, and the byte that fills undefined memory."""

    order: Order
    poison: int

    @property
    def contrast(self) -> str:
        """How they differ from those that a launch is taken to run in; in a sentence about two values."""
        if self.poison != POISON:
            return f"when undefined memory holds {POISON:#x} and {self.poison:#x}"
        return f"after the cyclic order of tasklets and after {self.order}"


ACTUAL = Conditions(CYCLIC, POISON)
