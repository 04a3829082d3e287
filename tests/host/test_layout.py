"""Where attention's data lie in MRAM, and which context still fits (S0-2, S0-13)."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from kernels_for_tests.attention import VARIANTS, Sizes

from host.attention.layout import CapacityError, longest_context, plan_layout

pytestmark = pytest.mark.quick

MRAM_BYTES = 64 << 20
WORKERS_AT_MOST = 23

variants = st.sampled_from(VARIANTS)
dims = st.integers(1, 700)
heaps = st.integers(0, 1 << 18) | st.integers(0, MRAM_BYTES)


def plan(variant, *, dim, max_tokens, heap_bytes=MRAM_BYTES):
    return plan_layout(
        kind=variant.kind, norm=variant.norm, acc=variant.acc, dim=dim, max_tokens=max_tokens, heap_bytes=heap_bytes
    )


def longest(variant, *, dim, heap_bytes=MRAM_BYTES):
    return longest_context(kind=variant.kind, norm=variant.norm, acc=variant.acc, dim=dim, heap_bytes=heap_bytes)


def rows_fit(variant, dim):
    sizes = Sizes.of(variant, dim)
    return max(sizes.row, sizes.output) <= 2048 and sizes.wram_bytes(variant) <= 53 * 1024


@given(variant=variants, dim=dims, heap_bytes=heaps)
def test_exactly_the_longest_context_fits(variant, dim, heap_bytes):
    assume(rows_fit(variant, dim))
    fits = longest(variant, dim=dim, heap_bytes=heap_bytes)
    if fits:
        assert plan(variant, dim=dim, max_tokens=fits, heap_bytes=heap_bytes).end <= heap_bytes
    with pytest.raises(CapacityError, match=rf"the longest context that fits is {fits} tokens") as refusal:
        plan(variant, dim=dim, max_tokens=fits + 1, heap_bytes=heap_bytes)
    assert refusal.value.longest_context == fits


@given(variant=variants, dim=dims, max_tokens=st.integers(1, 5000))
def test_regions_follow_each_other_without_gap(variant, dim, max_tokens):
    assume(rows_fit(variant, dim))
    sizes, layout = Sizes.of(variant, dim), plan(variant, dim=dim, max_tokens=max_tokens)
    assert (layout.row_bytes, layout.output_bytes) == (sizes.row, sizes.output)
    expected = {"q": 0}
    expected["output"] = expected["q"] + sizes.row
    expected["k"] = expected["output"] + sizes.output
    expected["v"] = expected["k"] + max_tokens * sizes.row
    expected["scores"] = expected["v"] + max_tokens * sizes.row
    expected["partials"] = expected["scores"] + -(-max_tokens // 8) * sizes.group
    expected["end"] = expected["partials"] + WORKERS_AT_MOST * sizes.output
    assert {name: getattr(layout, name) for name in expected} == expected
    assert all(address % 8 == 0 for address in expected.values())


@given(variant=variants, dim=dims)
def test_rows_that_no_dma_or_wram_holds_are_refused(variant, dim):
    assume(not rows_fit(variant, dim))
    with pytest.raises(CapacityError, match=r"a DMA moves 2048|bytes of WRAM buffers per tasklet") as refusal:
        plan(variant, dim=dim, max_tokens=1)
    assert refusal.value.longest_context == 0


def test_the_message_compares_what_is_needed_with_what_there_is():
    with pytest.raises(CapacityError) as refusal:
        plan(VARIANTS[-1], dim=131, max_tokens=1)
    # 2 rows of 528 bytes, 133 outputs and 8 scores of 8 bytes, 56 to align; 54,272 bytes less one output, over 24
    assert "131 int32 elements per row need 2240 bytes" in str(refusal.value)
    assert "24 tasklets have 2217 each" in str(refusal.value)


@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        # 64 MiB less Q, O and 23 partial outputs of one row each, over 8 tokens of 2 rows and a score each
        (VARIANTS[0], 261_111),  # 67,105,664 / (8 * 257) = 32,638 groups, and 7 tokens of a last one
        (VARIANTS[1], 130_549),  # 67,102,464 / (8 * 514) = 16,318 groups, and 5 tokens
        (VARIANTS[2], 65_268),  # 67,096,064 / (8 * 1028) = 8,158 groups, and 4 tokens
    ],
    ids=str,
)
def test_longest_context_of_128_dimensions_in_64_mib(variant, expected):
    assert longest(variant, dim=128) == expected


def test_no_token_fits_a_heap_that_is_smaller_than_the_outputs():
    assert longest(VARIANTS[0], dim=128, heap_bytes=25 * 128 + 2 * 128 + 7) == 0
    assert longest(VARIANTS[0], dim=128, heap_bytes=25 * 128 + 2 * 128 + 8) == 1
