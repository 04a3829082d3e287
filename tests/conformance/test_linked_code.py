"""Functions that only compiled code calls are kept as LLVM's IR: nothing makes machine code of them but a driver."""

from __future__ import annotations

from numba import njit, types
from numba.core.registry import cpu_target

from pim_runtime.compiler.linked_code import LinkedCode
from pim_runtime.compiler.pipeline import LINKED


def one_more(x):
    return x + 1


def two_more(x):
    return linked_one_more(linked_one_more(x))


def library_of(dispatcher, signature):
    dispatcher.compile(signature)
    return dispatcher.overloads[signature].library


linked_one_more = njit(**LINKED)(one_more)
signature = (types.int64,)


def machine_code(library):
    """Names of the library's functions that this process has machine code of."""
    engine = cpu_target.target_context.codegen()._engine
    names = [function.name for function in library.get_defined_functions()]
    assert names
    return [name for name in names if engine.is_symbol_defined(name)]


def test_linked_functions_have_no_machine_code():
    for function in (one_more, two_more):
        library = library_of(njit(**LINKED)(function), signature)
        assert isinstance(library, LinkedCode)
        assert machine_code(library) == []


def test_what_links_them_runs():
    dispatcher = njit(two_more)
    assert machine_code(library_of(dispatcher, signature))
    assert dispatcher(40) == 42
