"""A text that is shown and stored as `•••`."""

from __future__ import annotations

from pipeloom.errors import UsageError
from pipeloom.secrets.masks import MASK, SHORTEST, learn, values


class Secret:
    """A text that `reveal` alone gives away: a password, a token, a key.

    The process that has one shows and stores `•••` in the place of its text, wherever pipeloom writes a text. In the
    file, one is as good as another: params that differ in a secret alone count as the same. Raises `UsageError` for
    fewer than four characters.
    """

    __slots__ = ("__weakref__", "_value")

    def __init__(self, value: str) -> None:
        if not isinstance(value, str):
            raise UsageError(f"A Secret holds a text, not {type(value).__name__}.")
        if len(value.strip()) < SHORTEST:
            raise UsageError(
                f"A Secret has at least {SHORTEST} characters: a shorter text is part of many others, which would be "
                "masked with it."
            )
        learn(value)
        self._value = value

    def reveal(self) -> str:
        """Return the text itself."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({MASK})"

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __reduce__(self) -> tuple[type[Secret], tuple[str]]:
        return Secret, (self._value,)  # the process that gets it masks it too


def known_secrets() -> tuple[Secret, ...]:
    """Return all secrets of this process, for another one."""
    return tuple(map(Secret, values()))
