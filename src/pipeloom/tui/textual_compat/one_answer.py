"""A screen that is answered once."""

from __future__ import annotations

from typing import TypeVar

from textual.await_complete import AwaitComplete
from textual.screen import Screen

T = TypeVar("T")


class OneAnswerScreen(Screen[T]):
    """Gives its answer once, and only from the top: `dismiss` does nothing else.

    A key that was typed before the screen is gone, or is covered by another, reaches it still. Textual would answer the
    caller a second time (InvalidStateError), and close the screen on top in its place. A dialog names `ModalScreen`
    first: Textual takes the style of the first base alone.
    """

    def dismiss(self, result: T | None = None) -> AwaitComplete:
        """Close the screen with `result`, if it is on top."""
        if self.is_active:
            return super().dismiss(result)
        nothing: AwaitComplete = AwaitComplete.nothing()  # type: ignore[no-untyped-call]
        return nothing
