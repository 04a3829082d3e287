"""Rebuilds a kernel and its helpers so that they call the checked device: same code, other names."""

from __future__ import annotations

import builtins
import dataclasses
from types import CellType, FunctionType, SimpleNamespace
from typing import Any

from .. import device
from ..device.library import DpuFunction
from ..language.closure import Closure
from ..symbols import WramSymbol
from .checked_device import CheckedDevice, CheckedSymbol
from .stack import StackMeter

__all__ = ["instrumented"]


def instrumented(closure: Closure, checked: CheckedDevice, stack: StackMeter) -> Closure:
    """The closure with the kernel rebuilt. Places of faults stay right, since the code objects are the same."""
    return dataclasses.replace(closure, kernel=_Rebuilding(checked, stack).rebuilt(closure.kernel))


class _Rebuilding:
    def __init__(self, checked: CheckedDevice, stack: StackMeter) -> None:
        self._checked, self._stack = checked, stack
        self._helpers: dict[DpuFunction, Any] = {}
        names = [name for name in vars(CheckedDevice) if not name.startswith("_")]
        self._device = {name: getattr(checked, name) for name in names if hasattr(device, name)}
        self._debugging = {name: getattr(checked, name) for name in names if hasattr(builtins, name)}
        self._by_id = {id(getattr(device, name)): method for name, method in self._device.items()}

    def rebuilt(self, function: FunctionType) -> FunctionType:
        """A function whose names stand for checked things."""
        scope = {**function.__globals__, **self._debugging}
        for name in function.__code__.co_names:
            if name in scope:
                scope[name] = self._substitute(scope[name])
        cells = tuple(CellType(self._substitute(cell.cell_contents)) for cell in function.__closure__ or ())
        return FunctionType(function.__code__, scope, function.__name__, function.__defaults__, cells)

    def _substitute(self, value: Any) -> Any:
        if isinstance(value, WramSymbol):
            return CheckedSymbol(value, self._checked)
        if isinstance(value, DpuFunction):
            if value not in self._helpers:
                self._helpers[value] = self._stack.metered(self.rebuilt(value.function))
            return self._helpers[value]
        if value is device:
            return SimpleNamespace(**{**vars(device), **self._device})
        return self._by_id.get(id(value), value)
