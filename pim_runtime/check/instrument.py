"""Rebuilds a kernel and its helpers so that they call the checked device: same code, other names."""

from __future__ import annotations

import builtins
import dataclasses
from types import CellType, FunctionType, SimpleNamespace
from typing import Any

from .. import device
from ..device.integers import IntegerType
from ..device.library import DpuFunction
from ..language.closure import Closure
from ..symbols import WramSymbol
from .checked_device import CheckedDevice, CheckedSymbol
from .stack import StackMeter
from .undefined import SUBSTITUTES, CheckedInteger

__all__ = ["instrumented"]


def instrumented(closure: Closure, checked: CheckedDevice, stack: StackMeter) -> Closure:
    """The closure with the kernel rebuilt. Places of faults stay right, since the code objects are the same."""
    return dataclasses.replace(closure, kernel=_Rebuilding(checked, stack).rebuilt(closure.kernel))


class _Rebuilding:
    def __init__(self, checked: CheckedDevice, stack: StackMeter) -> None:
        self._checked, self._stack = checked, stack
        self._helpers: dict[DpuFunction, Any] = {}
        self._by_id = {id(value): substitute for value, substitute in SUBSTITUTES.items()}
        self._by_id |= {
            id(getattr(device, name)): getattr(checked, name) for name in vars(CheckedDevice) if hasattr(device, name)
        }

    def rebuilt(self, function: FunctionType) -> FunctionType:
        """A function whose names stand for checked things."""
        scope = {**vars(builtins), **function.__globals__}
        for name in function.__code__.co_names:
            if name in scope:
                scope[name] = self._substitute(scope[name])
        cells = tuple(CellType(self._substitute(cell.cell_contents)) for cell in function.__closure__ or ())
        again = FunctionType(function.__code__, scope, function.__name__, function.__defaults__, cells)
        again.__qualname__, again.__module__ = function.__qualname__, function.__module__
        return again

    def _substitute(self, value: Any) -> Any:
        if isinstance(value, WramSymbol):
            return CheckedSymbol(value, self._checked)
        if isinstance(value, DpuFunction):
            if value not in self._helpers:
                self._helpers[value] = self._stack.metered(self.rebuilt(value.function))
            return self._helpers[value]
        if isinstance(value, IntegerType):
            return CheckedInteger.like(value)
        if value is device:
            return SimpleNamespace(**{name: self._substitute(member) for name, member in vars(device).items()})
        return self._by_id.get(id(value), value)
