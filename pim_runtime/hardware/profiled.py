"""What every machine has that a profile describes: its name, and its values with unit, provenance and source.

Owns how such a machine is made of quantities, and made again with other values. Subclasses add the records.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from ..quantities import Quantity, Value
from .assembly import SET_BY_USER, inherited, records_of, set_by_user

__all__ = ["Profiled"]

P = TypeVar("P", bound="Profiled")


@dataclass(frozen=True, slots=True, kw_only=True)
class Profiled:
    """A machine. `provenance` lists every value with its unit, provenance and source, in the order of the fields."""

    name: str
    provenance: tuple[Quantity, ...]

    @classmethod
    def of(
        cls: type[P], name: str, file: str, own: Mapping[str, Quantity], base: Mapping[str, Quantity] | None = None
    ) -> P:
        """The machine whose profile `file` states `own` and takes the other values from `base`.

        Raises ProfileError where a value is missing or two values contradict each other.
        """
        quantities = inherited(cls, file, own, base or {})
        machine = cls(name=name, provenance=tuple(quantities.values()), **records_of(cls, quantities))
        machine.refuse_contradictions(file)
        return machine

    def refuse_contradictions(self, file: str) -> None:
        """Raise ProfileError for values that do not go together; most kinds of machine have no such rule."""

    @property
    def quantities(self) -> dict[str, Quantity]:
        """Every value by its dotted key."""
        return {quantity.key: quantity for quantity in self.provenance}

    @property
    def changes(self) -> tuple[Quantity, ...]:
        """The values that `with_values` set."""
        return tuple(quantity for quantity in self.provenance if quantity.source == SET_BY_USER)

    def with_values(self: P, values: Mapping[str, Value | float]) -> P:
        """This machine with other values, as in {"pipeline.clock_mhz": 450}; their provenance becomes "assumed".

        Raises ProfileError for an unknown key, for a value that its rule refuses, and for a link that is incomplete.
        """
        file = f"{self.name} with values set by the user"
        return type(self).of(self.name, file, set_by_user(type(self), file, values), self.quantities)
