"""The one way between CPU and chip: a prompt goes down, ids of tokens come up, and every message is noted (S2-9).

Document 2 leaves all of inference to the chip; what the CPU sends and gets is the interface.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple

__all__ = ["HostPort", "Message"]


class Message(NamedTuple):
    """Ids that crossed, down to the chip or up from it."""

    direction: Literal["down", "up"]
    ids: tuple[int, ...]


class HostPort:
    """What a CPU has of a chip.

    serve: the chip's side, from the ids of a prompt to those that follow, one at a time.
    """

    def __init__(self, serve: Callable[[Sequence[int]], Iterator[int]]) -> None:
        self._serve, self._tokens = serve, no_tokens()
        self.messages: list[Message] = []

    def send_prompt(self, ids: Sequence[int]) -> None:
        """Start a new context. Raises what the chip raises for a prompt, at the first token."""
        self.messages.append(Message("down", tuple(ids)))
        self._tokens = self._serve(tuple(ids))

    def next_token(self) -> int:
        """Wait for the next token. Raises ValueError without a prompt, and when the context is full."""
        token = next(self._tokens, None)
        if token is None:
            raise ValueError("no token to come: no prompt was sent, or its context is full")
        self.messages.append(Message("up", (token,)))
        return token


def no_tokens() -> Iterator[int]:
    """Of a chip that has no prompt."""
    yield from ()
