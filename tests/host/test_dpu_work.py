"""What a multiplication costs a DPU in each kernel, as it ships: what the kernels count."""

from __future__ import annotations

import pytest

from benchmarks.dpu_work import TOKENS, cycles_per_mac, cycles_per_product
from dpu_kernels.gemv.shapes import ROW_GROUP
from host.machines.dpu_server import dpu_works
from pim_runtime import EngineOptions

# One and two groups of tokens for each of 16 workers. Multiplies depend on the data, and few tokens are a small sample.
FEW_TOKENS, MORE_TOKENS = 128, 256
TOLERANCE = 0.05


@pytest.mark.quick
@pytest.mark.parametrize(("norm", "dtype"), [("softmax", "int8"), ("div_d", "int8")])
def test_the_profiles_say_what_the_kernels_count(norm, dtype):
    """Two short runs, extended along a straight line to the length that the profile was measured with."""
    few, more = (
        tokens * cycles_per_mac(norm, dtype, tokens=tokens, options=EngineOptions(engine="interpreted"))
        for tokens in (FEW_TOKENS, MORE_TOKENS)
    )
    expected = (few + (TOKENS - FEW_TOKENS) * (more - few) / (MORE_TOKENS - FEW_TOKENS)) / TOKENS
    shipped = float(dpu_works().load(norm.replace("_", "-")).quantities[f"instructions.{dtype}"].value)
    assert shipped == pytest.approx(expected, rel=TOLERANCE)


@pytest.mark.quick
@pytest.mark.parametrize("row_type", ["int4", "int8"])
def test_products_too(row_type):
    """A row group for each tasklet: what more of them take is in proportion."""
    expected = cycles_per_product(row_type, rows=ROW_GROUP * 16, options=EngineOptions(engine="interpreted"))
    shipped = float(dpu_works().load("gemv").quantities[f"instructions.{row_type}"].value)
    assert shipped == pytest.approx(expected, rel=TOLERANCE)
