"""The sentences that the screens tell: each shown once, and on a low screen all of them on one line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from textual.app import App

from pipeloom.text import clean
from pipeloom.tui.textual_compat.one_shot import call_in

SHOWN_S: Final = 5.0
"""Seconds that a sentence is shown."""
ROOMY: Final = 30
"""Lines from which on a screen has room for a box for each sentence."""
_BOXES: Final = 3
_EXCHANGE_S: Final = 0.1
"""Seconds between two exchanges of what is shown."""


@dataclass(slots=True)
class _Told:
    sentence: str
    problem: bool
    until_s: float
    times: int = 1
    topic: str = ""

    @property
    def text(self) -> str:
        """The sentence, and how often it was told."""
        return self.sentence if self.times == 1 else f"{self.sentence} ({self.times} times)"


class Toasts:
    """Shows sentences by Textual's notifications, at most three at a time, the newest last."""

    def __init__(self, app: App[None], monotonic: Callable[[], float]) -> None:
        """Show on `app`; `monotonic` tells what is still shown."""
        self._app = app
        self._monotonic = monotonic
        self._told: list[_Told] = []
        self._is_showing = False
        self._is_stale = False

    def tell(self, sentence: str, *, problem: bool = False, topic: str = "") -> None:
        """Show a sentence, in place of the one on the same topic; one that is still shown is counted."""
        now = self._monotonic()
        sentence = clean(sentence)
        before = [told for told in self._told if told.until_s > now]
        times = sum(told.times for told in before if told.sentence == sentence)
        others = [told for told in before if told.sentence != sentence and not (topic and told.topic == topic)]
        self._told = [*others[1 - _BOXES :], _Told(sentence, problem, now + SHOWN_S, times + 1, topic)]
        self._is_stale = True
        self._show()

    def _show(self) -> None:
        """Exchange what is shown, after the last exchange: Textual finds no toast that it has not composed yet."""
        if self._is_stale and not self._is_showing:
            self._is_showing = True
            self._app.call_later(self._exchange)

    def _exchange(self) -> None:
        self._is_stale = False
        self._app.clear_notifications()
        now = self._monotonic()
        if self._app.size.height >= ROOMY:
            for told in self._told:
                self._notify(told.text, problem=told.problem, left_s=told.until_s - now)
        else:
            line = "  ".join(told.text for told in reversed(self._told))
            self._notify(line, problem=any(told.problem for told in self._told), left_s=SHOWN_S)
        call_in(self._app, _EXCHANGE_S, self._exchanged)

    def _notify(self, text: str, *, problem: bool, left_s: float) -> None:
        severity = "warning" if problem else "information"
        self._app.notify(clean(text, 2000), markup=False, severity=severity, timeout=max(left_s, 0.1))  # type: ignore[arg-type]

    def _exchanged(self) -> None:
        self._is_showing = False
        self._show()
