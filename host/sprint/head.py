"""Sizes of one attention head, which is what SPRINT computes at a time, by the formulas of every model."""

from __future__ import annotations

from host.llm.model import ModelConfig, toy
from host.llm.parameters import attention_flops, kv_bytes_per_token
from host.llm.quantisation import INT8, QuantConfig

__all__ = ["attention_macs", "kv_token_bytes"]


def kv_token_bytes(dim: int, quant: QuantConfig = INT8) -> int:
    """Bytes of the rows of K and V of a token. Raises ValueError for a dim below 1."""
    return kv_bytes_per_token(_one_head(dim), quant)


def attention_macs(dim: int, tokens: int) -> int:
    """Multiply-accumulates of the scores and the weighted sum of one query over `tokens`."""
    return attention_flops(_one_head(dim), tokens) // 2


def _one_head(dim: int) -> ModelConfig:
    return toy(layers=1, heads=1, kv_heads=1, dim=dim)
