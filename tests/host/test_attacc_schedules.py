"""What overlaps: formulas of S1-11, and what no schedule can do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host.attacc.schedules import BlockSeconds, batch_level_s, coprocessed_s, exposed

pytestmark = pytest.mark.quick

seconds = st.floats(0.001, 10)
blocks = st.builds(BlockSeconds, qkv=seconds, projection=seconds, transfer=seconds, gemv=seconds, softmax=seconds)
shares = st.sampled_from((1.0, 0.5, 8 / 96, 16 / 96))
ROUNDING = 1e-9


@given(blocks, shares)
def test_sequential_hides_nothing(busy, head_share):
    assert exposed("sequential", busy, head_share=head_share) == busy


@given(blocks, shares)
def test_more_overlap_is_never_slower(busy, head_share):
    sequential, attention, head = (
        exposed(schedule, busy, head_share=head_share).seconds
        for schedule in ("sequential", "attention_level", "head_level")
    )
    assert head <= attention * (1 + ROUNDING)
    assert attention < sequential


@given(blocks, shares)
def test_nothing_is_faster_than_its_longest_part(busy, head_share):
    fc, products = busy.qkv + busy.projection, busy.gemv
    for schedule in ("attention_level", "head_level"):
        left = exposed(schedule, busy, head_share=head_share)
        longest = max(fc, busy.transfer, products) if schedule == "head_level" else max(fc + products, busy.transfer)
        assert left.seconds >= longest * (1 - ROUNDING)
        assert min(left.qkv, left.projection, left.transfer) >= -ROUNDING
        assert left.softmax == 0
        assert left.gemv == busy.gemv


@given(blocks)
def test_one_head_overlaps_only_its_softmax(busy):
    for schedule in ("attention_level", "head_level"):
        left = exposed(schedule, busy, head_share=1.0)
        assert left.seconds == pytest.approx(busy.seconds - busy.softmax)


def test_head_level_in_numbers():
    r = 8 / 96
    behind_attention = BlockSeconds(qkv=3.0, projection=1.0, transfer=0.5, gemv=8.0, softmax=1.0)
    left = exposed("head_level", behind_attention, head_share=r)
    assert (left.qkv, left.projection, left.transfer) == pytest.approx((3 * r, r, 0.5 * r))
    before_weights = BlockSeconds(qkv=6.0, projection=2.0, transfer=0.5, gemv=3.9, softmax=0.1)
    left = exposed("head_level", before_weights, head_share=r)
    assert (left.qkv, left.projection) == pytest.approx((6 - 0.75 * 4 * (1 - r), 2 - 0.25 * 4 * (1 - r)))
    assert left.transfer == pytest.approx(0.5 * r)
    behind_transfers = BlockSeconds(qkv=3.0, projection=1.0, transfer=9.0, gemv=2.9, softmax=0.1)
    left = exposed("head_level", behind_transfers, head_share=r)
    assert (left.qkv, left.projection, left.transfer) == pytest.approx((3 * r, r, 9 - 3 * (1 - r)))


def test_attention_hides_no_more_than_its_products_take():
    mostly_softmax = BlockSeconds(qkv=3.0, projection=1.0, transfer=0.5, gemv=1.0, softmax=2.0)
    left = exposed("head_level", mostly_softmax, head_share=8 / 96)
    assert left.qkv + left.projection == pytest.approx(3.0)


def test_shared_heads_leave_no_part_negative():
    """A quarter of what is hidden is more than a quarter of the products where K and V are small."""
    busy = BlockSeconds(qkv=1.0, projection=1.0, transfer=0.1, gemv=1.99, softmax=0.0)
    left = exposed("head_level", busy, head_share=0.01)
    assert left.qkv >= 0
    assert left.projection >= 0
    assert left.qkv + left.projection == pytest.approx(2.0 - 0.99 * 1.99)


def test_batch_level_belongs_to_whole_layers():
    assert batch_level_s(2.0, 3.0) == batch_level_s(3.0, 2.0) == 6.0
    busy = BlockSeconds(qkv=1.0, projection=1.0, transfer=1.0, gemv=1.0, softmax=1.0)
    with pytest.raises(ValueError, match="two halves of a batch"):
        exposed("batch_level", busy, head_share=0.1)


@given(seconds, st.integers(1, 1000), st.sampled_from(("compute", "unit bandwidth")))
def test_sharing_weights_helps_less_with_every_request(alone_s, batch, bound):
    rates = {"gpu_bytes_per_s": 3e12, "pim_bytes_per_s": 3e13, "gpu_flops_per_s": 3e14, "pim_flops_per_s": 3e13}
    shared, more = (coprocessed_s(alone_s, bound, batch=requests, **rates) for requests in (batch, batch + 1))
    assert shared < alone_s
    assert shared <= more
    expected = alone_s * (1 / 1.1 if bound == "compute" else 1 / (1 + 10 / batch))
    assert shared == pytest.approx(expected)
