"""What a channel refuses to execute, and where in which stream."""

from __future__ import annotations

from pim_runtime.errors import PimError

from .commands import Command

__all__ = ["CommandFault", "IllegalCommand", "check_index"]


class IllegalCommand(Exception):
    """Raised by a part of a channel that cannot do what a command asks; the channel says which command, and where."""


class CommandFault(PimError, ValueError):
    """A command that breaks the order or the limits of the device. What came before it has been executed.

    stack, channel: where. index: of the command in the stream of this channel, from 0. command: itself.
    """

    def __init__(self, reason: str, *, stack: int, channel: int, index: int, command: Command) -> None:
        super().__init__(f"stack {stack}, channel {channel}, command {index}, {command.mnemonic}: {reason}")
        self.stack, self.channel, self.index, self.command = stack, channel, index, command


def check_index(name: str, value: int, count: int) -> None:
    """Raise IllegalCommand unless 0 <= value < count."""
    if not 0 <= value < count:
        raise IllegalCommand(f"{name} {value} of {count}: give 0 to {count - 1}")
