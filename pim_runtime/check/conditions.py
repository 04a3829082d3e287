"""What a run on the side may choose, and results must not depend on: the order of tasklets, and undefined memory."""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["ACTUAL", "CYCLIC", "OTHER_POISON", "POISON", "Conditions", "Order"]

POISON, OTHER_POISON = 0xA5, 0x5A


class Order(NamedTuple):
    """A tasklet order: cyclic, or random from a seed."""

    kind: Literal["cyclic", "random"]
    seed: int

    @property
    def repeat(self) -> str:
        """The engine options that run a launch in this order."""
        return f"EngineOptions(engine='interpreted', tasklet_order={self.kind!r}, seed={self.seed})"

    def __str__(self) -> str:
        return "the cyclic order" if self.kind == "cyclic" else f"the {self.kind} order with seed {self.seed}"


CYCLIC = Order("cyclic", 0)


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
