"""The commands of AttAcc, as a channel takes them (S1-13).

Every command goes to one channel, and both its pseudo channels execute it. Indices: `query` of those that the channel
serves at once, `part` and `column` of a vector in columns, `slot` of tokens, `group` of banks, `block` of slots; see
`geometry`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

from host.attention.softmax_plan import SoftmaxPlan

from .geometry import Address

__all__ = [
    "MNEMONICS",
    "Command",
    "Mnemonic",
    "MoveOutputs",
    "MoveScores",
    "MoveWeights",
    "Multiply",
    "MultiplyMode",
    "ReadOutputs",
    "ReadStatistics",
    "SetHead",
    "SetModel",
    "Softmax",
    "WriteBuffer",
]

Mnemonic = Literal["SETM", "SETH", "WR_GB", "MAC_AB", "MV_SB", "SFM", "MV_GB", "RD"]
MNEMONICS: tuple[Mnemonic, ...] = ("SETM", "SETH", "WR_GB", "MAC_AB", "MV_SB", "SFM", "MV_GB", "RD")

MultiplyMode = Literal["adder tree", "accumulate"]
"""adder tree: a column of K and of the query to one number. accumulate: a column of V, each lane for itself."""


@dataclass(frozen=True, slots=True)
class SetModel:
    """Says how large heads are, and elements of K and V, and of queries; forgets the head."""

    mnemonic: ClassVar[Mnemonic] = "SETM"
    dim: int
    element_bits: int
    query_bits: int


@dataclass(frozen=True, slots=True)
class SetHead:
    """Says where K and V of a head begin, how many tokens they have, and how each query weighs scores."""

    mnemonic: ClassVar[Mnemonic] = "SETH"
    tokens: int
    key_row: int
    value_row: int
    plans: tuple[SoftmaxPlan, ...]


@dataclass(frozen=True, slots=True)
class WriteBuffer:
    """One column of a query into the GEMV buffers of the units that multiply this part, in all bank groups."""

    mnemonic: ClassVar[Mnemonic] = "WR_GB"
    query: int
    part: int
    column: int
    elements: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Multiply:
    """Every unit reads the column at this address of its banks, and multiplies it for all queries."""

    mnemonic: ClassVar[Mnemonic] = "MAC_AB"
    mode: MultiplyMode
    address: Address


@dataclass(frozen=True, slots=True)
class MoveScores:
    """The scores of a block of slots, from the units of a bank group to the softmax buffer, which adds their parts."""

    mnemonic: ClassVar[Mnemonic] = "MV_SB"
    query: int
    group: int
    block: int


@dataclass(frozen=True, slots=True)
class Softmax:
    """The softmax unit turns the scores of a query into weights (K-6)."""

    mnemonic: ClassVar[Mnemonic] = "SFM"
    query: int


@dataclass(frozen=True, slots=True)
class MoveWeights:
    """The weights of a block of slots, from the buffer die to the GEMV buffers of a bank group."""

    mnemonic: ClassVar[Mnemonic] = "MV_GB"
    query: int
    group: int
    block: int


@dataclass(frozen=True, slots=True)
class MoveOutputs:
    """A column of outputs of a part, from all bank groups of a rank to the buffer die, which adds them up."""

    mnemonic: ClassVar[Mnemonic] = "MV_SB"
    query: int
    rank: int
    part: int
    column: int


@dataclass(frozen=True, slots=True)
class ReadOutputs:
    """A column of finished outputs of all parts, from the buffer die."""

    mnemonic: ClassVar[Mnemonic] = "RD"
    query: int
    column: int


@dataclass(frozen=True, slots=True)
class ReadStatistics:
    """The largest score and the sum of weights of a query, from the softmax unit."""

    mnemonic: ClassVar[Mnemonic] = "RD"
    query: int


Command: TypeAlias = (
    SetModel
    | SetHead
    | WriteBuffer
    | Multiply
    | MoveScores
    | Softmax
    | MoveWeights
    | MoveOutputs
    | ReadOutputs
    | ReadStatistics
)
