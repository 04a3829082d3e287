"""One channel of a stack: executes a stream of commands on its banks, GEMV units and buffer die (S1-13).

Owns the life of a head: SETM, SETH, then what `GemvUnits` and `BufferDie` accept, until all results are read. Whatever
breaks the order or a limit is refused with a CommandFault; the commands before it have been executed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from host.machines.hbm_pim import HbmPim

from .activity import Activity
from .buffer_die import BufferDie
from .commands import (
    Command,
    Mnemonic,
    MoveOutputs,
    MoveScores,
    MoveWeights,
    Multiply,
    MultiplyMode,
    ReadOutputs,
    ReadStatistics,
    SetHead,
    SetModel,
    Softmax,
    WriteBuffer,
)
from .faults import CommandFault, IllegalCommand
from .gemv_units import GemvUnits
from .geometry import Address, HeadGeometry
from .memory import ChannelMemory

__all__ = ["Channel", "ChannelRun"]


class ChannelRun(NamedTuple):
    """What RD commands sent, in their order, and what the channel did meanwhile.

    Statistics are int64 [2], outputs int64 [parts, lanes].
    """

    replies: list[NDArray[np.int64]]
    activity: Activity


class _Model(NamedTuple):
    """What SETM said."""

    geometry: HeadGeometry
    query_bits: int


class _Head(NamedTuple):
    """A head that is served."""

    geometry: HeadGeometry
    command: SetHead
    units: GemvUnits
    buffer_die: BufferDie


class Channel:
    """Executes commands; `memory` is loaded by its owner.

    reuse_rows: queries that a unit multiplies with a row once it is read (S1-12).
    """

    def __init__(self, hardware: HbmPim, memory: ChannelMemory, *, stack: int, channel: int, reuse_rows: int) -> None:
        self.memory, self.stack, self.channel = memory, stack, channel
        self._hardware, self._reuse_rows = hardware, reuse_rows
        self._model: _Model | None = None
        self._head: _Head | None = None
        self._open_rows: dict[tuple[int | None, int | None], int] = {}

    def run(self, stream: Iterable[Command]) -> ChannelRun:
        """Execute a stream. Raises CommandFault at the first command that cannot be executed."""
        replies: list[NDArray[np.int64]] = []
        commands: Counter[Mnemonic] = Counter()
        multiplies: Counter[MultiplyMode] = Counter()
        row_openings: Counter[MultiplyMode] = Counter()
        for index, command in enumerate(stream):
            try:
                if isinstance(command, Multiply):
                    row_openings[command.mode] += self._multiply(command)
                    multiplies[command.mode] += 1
                elif isinstance(command, ReadStatistics):
                    replies.append(self._served.buffer_die.statistics(command.query))
                elif isinstance(command, ReadOutputs):
                    replies.append(self._served.buffer_die.outputs(command.query, command.column))
                else:
                    self._execute(command)
            except IllegalCommand as refusal:
                raise CommandFault(
                    str(refusal), stack=self.stack, channel=self.channel, index=index, command=command
                ) from None
            commands[command.mnemonic] += 1
        columns_read = multiplies.total() * self._hardware.units.token_groups * self._hardware.units.banks
        return ChannelRun(replies, Activity(commands, multiplies, row_openings, columns_read))

    def _execute(self, command: Command) -> None:
        """A command that answers nothing and reads no bank."""
        match command:
            case SetModel():
                self._set_model(command)
            case SetHead():
                self._set_head(command)
            case WriteBuffer(query, part, column, elements):
                self._served.units.write_query(query, part, column, elements)
            case MoveScores(query, group, block):
                head = self._served
                head.buffer_die.receive_scores(query, group, block, head.units.take_scores(query, group, block))
            case Softmax(query):
                self._served.buffer_die.softmax(query)
            case MoveWeights(query, group, block):
                head = self._served
                head.units.write_weights(query, group, block, head.buffer_die.weights(query, group, block))
            case MoveOutputs(query, rank, part, column):
                head = self._served
                outputs = head.units.take_outputs(query, rank, part, column)
                head.buffer_die.receive_outputs(query, rank, part, column, outputs)

    def _set_model(self, command: SetModel) -> None:
        stored = self.memory.element_bits
        if command.element_bits != stored:
            raise IllegalCommand(f"elements of {command.element_bits} bits, but the banks hold elements of {stored}")
        if not 1 <= command.query_bits <= 32:
            raise IllegalCommand(f"queries of {command.query_bits} bits: the multipliers take 1 to 32")
        try:
            geometry = HeadGeometry(hardware=self._hardware, dim=command.dim, element_bits=command.element_bits)
        except ValueError as error:
            raise IllegalCommand(str(error)) from None
        self._model, self._head = _Model(geometry, command.query_bits), None

    def _set_head(self, command: SetHead) -> None:
        if self._model is None:
            raise IllegalCommand("the channel knows no sizes yet: SETM comes before SETH")
        geometry, query_bits = self._model
        if self._head is not None and self._head.buffer_die.unread:
            raise IllegalCommand(
                f"{self._head.buffer_die.unread} results of the head before would be lost, they are not read: RD first"
            )
        if command.tokens < 1:
            raise IllegalCommand(f"{command.tokens} tokens: a head has at least 1")
        if not 1 <= len(command.plans) <= self._reuse_rows:
            raise IllegalCommand(
                f"{len(command.plans)} queries at once: the units reuse a row for 1 to {self._reuse_rows}; send the "
                "others with another SETH"
            )
        rows = geometry.rows(command.tokens)
        for name, first in (("key_row", command.key_row), ("value_row", command.value_row)):
            if not 0 <= first <= self._hardware.banks.rows - rows:
                raise IllegalCommand(
                    f"{name} {first}: {command.tokens} tokens take {rows} rows of a bank, which has "
                    f"{self._hardware.banks.rows}; begin at 0 to {self._hardware.banks.rows - rows}"
                )
        if abs(command.key_row - command.value_row) < rows:
            raise IllegalCommand(
                f"K from row {command.key_row} and V from row {command.value_row} overlap: each takes {rows} rows"
            )
        self._head = _Head(
            geometry,
            command,
            GemvUnits(geometry, queries=len(command.plans), query_bits=query_bits, tokens=command.tokens),
            BufferDie(geometry, command.plans, tokens=command.tokens),
        )

    def _multiply(self, command: Multiply) -> bool:
        """Whether it opened a row first."""
        head, address = self._served, command.address
        matrix, first_row = {
            "adder tree": ("K", head.command.key_row),
            "accumulate": ("V", head.command.value_row),
        }[command.mode]
        rows = head.geometry.rows(head.command.tokens)
        if not first_row <= address.row < first_row + rows:
            raise IllegalCommand(
                f"row {address.row}, where mode {command.mode!r} reads {matrix}: {matrix} of this head is in rows "
                f"{first_row} to {first_row + rows - 1}"
            )
        columns = self.memory.read(address)
        expected = head.geometry.groups, head.geometry.parts
        if columns.shape[1:3] != expected:
            raise IllegalCommand(
                f"{address}: it means {columns.shape[1]} bank groups x {columns.shape[2]} banks, and there are units "
                f"for {expected[0]} x {expected[1]} at once"
            )
        slot, column = head.geometry.position(address, first_row=first_row)
        if command.mode == "adder tree":
            head.units.multiply_keys(slot, column, columns)
        else:
            head.units.multiply_values(slot, column, columns)
        return self._open(address)

    def _open(self, address: Address) -> bool:
        banks = address.group, address.bank
        opens = self._open_rows.get(banks) != address.row
        self._open_rows[banks] = address.row
        return opens

    @property
    def _served(self) -> _Head:
        if self._head is None:
            raise IllegalCommand("no head is set: SETH first")
        return self._head
