"""What host and kernel agree on: the arguments of the attention programs, and the types and sizes that they store."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import Literal, NamedTuple

from pim_runtime.device import IntegerType, int8, int16, int32, int64

__all__ = [
    "ALIGNMENT",
    "BLOCK_TOKENS",
    "GROUP",
    "LOW_BITS",
    "MAX_QUERIES",
    "RUNNING_ROWS",
    "STACK_BYTES",
    "STATE_LENGTH",
    "TABLE_SIZE",
    "Accumulation",
    "Argument",
    "DTypeName",
    "FixedSizes",
    "Norm",
    "OnlineState",
    "Products",
    "SoftmaxConstant",
    "SoftmaxState",
    "Stage",
    "Storage",
    "ZscoreConstant",
    "ZscoreState",
    "notes_length",
    "output_kind",
    "padded",
    "products_of",
    "running_kind",
    "score_kind",
    "storage",
    "summed_rows",
    "weight_kind",
]

GROUP = 8  # tokens whose scores move in one DMA
BLOCK_TOKENS = 16  # tokens of a block of a paged cache: K rows, then V rows
RUNNING_ROWS = 256  # rows whose weighted sums fit 32 bits, where products have 22 (K-1)
INT32_PROBABILITY_BITS = 24  # of weights whose products with 8 bits fit 32 (K-1): 2**24 * -128 = -2**31
MAX_QUERIES = 32  # query heads that one K/V row serves in a launch: 32 x 8 scores of int64 are the longest DMA
TABLE_SIZE = 257  # 2**(30 - i/256) for i = 0 to 256, and one more for the interpolation
STACK_BYTES = 384  # per tasklet; the default 1024 would leave no room for 24 tasklets with 128 dimensions of int32
ALIGNMENT = 64  # of a tasklet's buffers: rows that start on a cache line of the host are computed with much faster

Norm = Literal["div_d", "zscore", "zscore_linear", "softmax", "softmax_online"]
Accumulation = Literal["wrap", "wide"]
DTypeName = Literal["int4", "int8", "int16", "int32"]
Products = Literal["int32", "int64"]


class Argument(IntEnum):
    """Places in the host variable `arguments`, int32: MRAM offsets, counts, and `*_BYTES` padded to DMA granularity."""

    DIM = 0
    QUERIES = 1  # query heads that share this K and V
    Q_BYTES = 2  # one row of q
    ROW_BYTES = 3  # one stored row of K or V
    Q = 4
    K = 5  # of token 0; when paged: inside a block
    V = 6
    TABLE = 7  # paged: int64 address of every block; 0: K and V are contiguous
    FIRST = 8  # tokens first <= j < end take part
    END = 9
    BIASES = 10  # int64 per token, added to scores; of token 0 and the first query; 0: none
    BIAS_STRIDE = 11  # bytes from one query's biases to the next one's
    SCORES = 12  # by group of tokens, query, token
    COLUMNS = 13  # elements of V that one pass over the tokens sums up
    BUFFER_BYTES = 14  # a tasklet's buffer for stored rows
    PARTIALS = 15  # sums of every worker
    OUTPUT = 16
    OUTPUT_BYTES = 17  # of the sums of one query, and of its statistics behind them
    FRACTION_BITS = 18  # of z-scores
    STAGE = 19  # of zscore, see Stage


class SoftmaxConstant(IntEnum):
    """Columns of the host variable `constants` for softmax: a plan per query (host.attention.softmax_plan)."""

    MULTIPLIER = 0
    SHIFT = 1
    PRE_SHIFT = 2
    MAX_DIFFERENCE = 3
    PROBABILITY_BITS = 4


class ZscoreConstant(IntEnum):
    """Columns of the host variable `constants` for Stage.SUMS of zscore (host.attention.zscore)."""

    CENTRE = 0
    SHIFT = 1
    MEAN = 2
    INVERSE = 3
    FINAL_SHIFT = 4


class Stage(IntEnum):
    """What a launch of zscore does. With a head on several DPUs the host has to merge statistics in between (M-5).

    The kernel itself goes from STATISTICS to SUMS and back, so that the host need not say it in every step.
    """

    ALL = 0
    STATISTICS = 1
    SUMS = 2


class SoftmaxState(IntEnum):
    """Columns of a query's statistics: each worker's in WRAM, those of all workers behind the output."""

    MAXIMUM = 0
    WEIGHT_SUM = 1


class OnlineState(IntEnum):
    """As SoftmaxState, for softmax_online."""

    MAXIMUM = 0
    WEIGHT_SUM = 1
    RESCALES = 2


class ZscoreState(IntEnum):
    """As SoftmaxState, for zscore and zscore_linear: s = high * 2**24 + low with |low| <= 2**23."""

    SCORE_SUM = 0
    LOWEST = 1
    HIGHEST = 2
    HIGH_SQUARES = 3
    MIXED = 4
    LOW_SQUARES = 5


LOW_BITS = 24  # of a score in ZscoreState

STATE_LENGTH: Mapping[Norm, int] = MappingProxyType(
    {
        "div_d": 0,
        "zscore": len(ZscoreState),
        "zscore_linear": len(ZscoreState),
        "softmax": len(SoftmaxState),
        "softmax_online": len(OnlineState),
    }
)
"""Statistics of a query, int64 each; they stand behind its output."""


class Storage(NamedTuple):
    """How elements of K and V are stored, and computed with. Queries are stored as `kind`."""

    name: DTypeName
    kind: IntegerType
    elements_per_item: int  # 2: nibbles, low one first

    def row_bytes(self, dim: int) -> int:
        """Bytes of a stored row of K or V, padded to the DMA granularity."""
        return padded(-(-dim * self.kind.itemsize // self.elements_per_item))

    @property
    def rows_in_a_pass(self) -> int:
        """Rows of V that are added up in one pass over the output: as many as take the room of one int32 row."""
        return 4 // self.kind.itemsize


class FixedSizes(NamedTuple):
    """Sizes that are constants of a program, as `DIM_HEAD` is in C; 0 leaves them to `arguments`."""

    dim: int
    queries: int
    q_bytes: int
    row_bytes: int

    @classmethod
    def of(cls, operands: Storage, dim: int) -> FixedSizes:
        """For heads of `dim` elements with one query each, or for any sizes if `dim` is 0."""
        return cls(dim, int(dim > 0), padded(dim * operands.kind.itemsize), operands.row_bytes(dim))


def storage(name: DTypeName) -> Storage:
    """The storage of a type by its name."""
    kinds = {"int4": int8, "int8": int8, "int16": int16, "int32": int32}
    return Storage(name, kinds[name], 2 if name == "int4" else 1)


def score_kind(kind: IntegerType, acc: Accumulation) -> IntegerType:
    """Type of a stored score: the operands' own when it wraps, else wide enough for the exact sum (K-1)."""
    if acc == "wrap":
        return kind
    return int32 if kind.bits == 8 else int64


def output_kind(kind: IntegerType, acc: Accumulation) -> IntegerType:
    """Type of a stored output."""
    return kind if acc == "wrap" else int64


def weight_kind(operands: Storage, norm: Norm, acc: Accumulation) -> IntegerType:
    """Type that every weight of V fits (proven by host.attention.ranges); weights are stored as scores are."""
    if acc == "wrap":
        return operands.kind
    if norm in ("softmax", "zscore") or (norm == "div_d" and operands.kind.bits < 32):
        return int32
    return score_kind(operands.kind, acc)


def products_of(operand_bits: int, norm: Norm, probability_bits: int) -> Products:
    """Type that the product of a weight and an element of V fits (proven by host.attention.ranges).

    operand_bits: of an element once it is unpacked. A multiply of 64 bits takes a DPU several times as long.
    """
    is_softmax = norm in ("softmax", "softmax_online")
    return "int32" if is_softmax and operand_bits == 8 and probability_bits <= INT32_PROBABILITY_BITS else "int64"


def running_kind(operands: Storage, norm: Norm, acc: Accumulation) -> IntegerType:
    """Type of a worker's sums over up to RUNNING_ROWS rows of V (proven by host.attention.ranges)."""
    if acc == "wide" and operands.kind.bits == 8 and norm in ("div_d", "zscore"):
        return int32
    return output_kind(operands.kind, acc)


def summed_rows(norm: Norm, queries: int) -> int:
    """Weighted sums of V that a launch makes: one per query, and for zscore_linear one more, with weights of 1."""
    return queries + (norm == "zscore_linear")


def notes_length(norm: Norm) -> int:
    """int64 that a worker notes about the scores of a query; two more than it reports for z-scores (K-5)."""
    return STATE_LENGTH[norm] + 2 * norm.startswith("zscore")


def padded(nbytes: int) -> int:
    """Bytes that a row takes in MRAM: a multiple of the DMA granularity."""
    return (nbytes + 7) & -8
