"""An array of generators in a driver: numba knows tuples of generators only, and unrolls every access to one."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, models, register_model

from ..device.run_record import MAX_TASKLETS

__all__ = ["generator_of", "keep_generator"]


class GeneratorArray(types.Type):
    """A place for the generator of every tasklet."""

    def __init__(self, generator: types.Generator) -> None:
        self.generator = generator
        super().__init__(f"generators({generator})")


@register_model(GeneratorArray)
class GeneratorArrayModel(models.PrimitiveModel):
    """Pointer to the state of the first."""

    def __init__(self, manager: Any, array: GeneratorArray) -> None:
        super().__init__(manager, array, manager.lookup(array.generator).get_value_type())


@intrinsic
def keep_generator(typingctx: Any, index: Any, generator: Any) -> Any:
    """Copy a generator that has just been made into the function's array, and give the array."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        state, places = context.get_data_type(generator), ir.Constant(ir.IntType(32), MAX_TASKLETS)
        array = cgutils.alloca_once(builder, state, size=places)
        builder.store(builder.load(args[1]), builder.gep(array, [args[0]]))
        return array

    return GeneratorArray(generator)(types.int64, generator), codegen


@intrinsic
def generator_of(typingctx: Any, array: Any, index: Any) -> Any:
    """The generator that was kept at an index."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.gep(args[0], [args[1]])

    return array.generator(array, types.int64), codegen
