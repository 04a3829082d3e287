"""How tests of counting turn the text of a random program into a program."""

from __future__ import annotations

import importlib.util
from itertools import count

import pytest


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """Writes sources to files of their own and imports them."""
    folder, numbers = tmp_path_factory.mktemp("random_programs"), count()

    def load(source):
        path = folder / f"random_program_{next(numbers)}.py"
        path.write_text(source)
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.program

    return load
