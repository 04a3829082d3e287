"""What calls into the device library give, and what they cost: the SDK's calls and C's operators by name.

The library's own code is not counted, since its calls stand for instructions and routines of the SDK.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from .. import device
from ..counters import Counter
from ..device.integers import IntegerType
from .operations import Cost, divide, multiply, plain, shift, slots
from .values import BOOL, INDEX_BITS, INT, Int, Known, Value, ViewOf, of_kind

__all__ = [
    "CLOCK_READERS",
    "DMA_CALLS",
    "IS_ARITHMETIC",
    "arithmetic_cost",
    "call_cost",
    "call_result",
    "kind_argument",
]

ADDRESS = Int(32, INDEX_BITS, signed=False)
DMA_CALLS: Mapping[object, tuple[Counter, Counter]] = MappingProxyType(
    {
        device.mram_read: (Counter.READS, Counter.READ_BYTES),
        device.mram_write: (Counter.WRITES, Counter.WRITE_BYTES),
    }
)
CLOCK_READERS = (device.perfcounter_config, device.perfcounter_get)
OPERATORS_OF_C = ("add", "sub", "mul", "neg", "div", "rem", "shl", "shr", "less", "clz", "popcount")
IS_ARITHMETIC: Mapping[object, str] = MappingProxyType({getattr(device, name): name for name in OPERATORS_OF_C})
EVENTS: Mapping[object, Counter] = MappingProxyType(
    {
        device.mem_alloc: Counter.ALLOCS,
        device.mutex_lock: Counter.LOCKS,
        device.mutex_trylock: Counter.LOCKS,
        device.mutex_unlock: Counter.LOCKS,
        device.sem_give: Counter.SYNCS,
        device.sem_take: Counter.SYNCS,
        device.handshake_notify: Counter.SYNCS,
        device.handshake_wait_for: Counter.SYNCS,
    }
)
# dpu-rt: `me` is a register and NR_TASKLETS a constant; a view is a pointer; a barrier has its own price.
FREE = (
    device.me,
    device.nr_tasklets,
    device.wram_view,
    device.barrier_wait,
    device.charge,
    device.stated,
    print,  # of the interpreted engine, for debugging
    breakpoint,
)
SLOTS: Mapping[object, int] = MappingProxyType(
    {
        device.mem_reset: 2,  # dpu-rt alloc.c: load the start, store the pointer
        device.perfcounter_get: 2,  # dpu-rt perfcounter.c: read the counter, shift
        device.perfcounter_config: 3,
        device.assert_that: 1,  # compare and branch
        device.halt: 1,
    }
)


def call_result(function: object, arguments: list[Value]) -> Value:
    """What a call of the device library returns."""
    if function in (device.mem_alloc, device.wram_view):
        kind, length = kind_argument(arguments[1:]), arguments[-1]
        fixed = length.constant if isinstance(length, Int) else None
        return INT if kind is None else ViewOf(kind, fixed)
    name, kind = IS_ARITHMETIC.get(function), kind_argument(arguments)
    if name is None or kind is None:
        return Int(32, 6) if function in (device.me, device.nr_tasklets) else INT
    if name == "less":
        return BOOL
    if name in ("clz", "popcount"):
        return Int(32, 8, signed=False)
    return of_kind(kind)


def arithmetic_cost(name: str, kind: IntegerType, operands: list[Int]) -> Cost:
    """Slots of `name(kind, a, b)` once its operands are in registers."""
    width = 64 if kind.bits == 64 else 32
    mask = 1 if kind.bits < 32 else 0  # back to the narrow type: LUT, second slot of u16 ADD and SUB
    typed = [value if value.constant is not None else of_kind(kind) for value in operands]
    special: dict[str, Callable[[], Cost]] = {
        "mul": lambda: multiply(width, *typed),
        "div": lambda: divide(width, typed[0], typed[1], operation="div"),
        "rem": lambda: divide(width, typed[0], typed[1], operation="rem"),
        "shl": lambda: shift(width, operands[1]),
        "shr": lambda: shift(width, operands[1]),
        "less": lambda: plain(width),
        "clz": lambda: slots(1 if width == 32 else 3),  # two words, and a choice between them
        "popcount": lambda: slots(1 if width == 32 else 3),
    }
    if name in special:
        return special[name]()
    return slots(plain(width).events[Counter.SLOTS] + mask)


def call_cost(function: object) -> Cost:
    """Slots and events of a call, without its operands and without DMAs and arithmetic."""
    event = EVENTS.get(function)
    if event is not None:
        return Cost({event: 1})
    if function in FREE:
        return Cost()
    return slots(SLOTS.get(function, 1))


def kind_argument(arguments: list[Value]) -> IntegerType | None:
    """The type that a call names first; None where it names none, which the compiler will refuse."""
    kind = arguments[0] if arguments else None
    return kind.value if isinstance(kind, Known) and isinstance(kind.value, IntegerType) else None
