"""How often the screen is brought up to date: as often as the eye can follow, but keys come first."""

from __future__ import annotations

from typing import Final

DRAIN_S: Final = 0.05
_KEYS_DRAIN_S: Final = 0.25
_KEYS_REST_S: Final = 2.0
"""At most this often is the screen brought up to date; less often while keys are pressed, which come first, and least
when so much has been committed that it has to be taken over bit by bit."""
_SHARE: Final = 4
_KEYS_SHARE: Final = 40
"""Of its time, the screen spends at most one part in so many on what was committed."""
_LONGEST_DRAIN_S: Final = 0.1
_MOST: Final = 4_000
_KEYS_MOST: Final = 1_000
"""So many attempts are taken over at once, so that the screen never stops for long."""
_KEYS_S: Final = 1.0
"""For so long after a key, another is likely."""


class Pace:
    """Says how long what was committed is to wait. All times are monotonic seconds."""

    def __init__(self) -> None:
        self.began_s = float("-inf")
        """When the screen was last brought up to date."""
        self.has_rest = False
        """Whether something had to be left for the next time."""
        self._took_s = 0.0

    def wait_s(self, now: float, key_pressed_s: float) -> float:
        """Return how long to wait from `now` on; not above 0 when it is time."""
        keys = _are_pressed(now, key_pressed_s)
        least, share = (_KEYS_REST_S if self.has_rest else _KEYS_DRAIN_S, _KEYS_SHARE) if keys else (DRAIN_S, _SHARE)
        return self.began_s + max(least, self._took_s * share) - now

    def most(self, now: float, key_pressed_s: float) -> int:
        """Return how many attempts to take over at once."""
        return _KEYS_MOST if _are_pressed(now, key_pressed_s) else _MOST

    def note_cost(self, took_s: float) -> None:
        """Learn how long it took to bring the screen up to date."""
        self._took_s = min(took_s, _LONGEST_DRAIN_S)


def _are_pressed(now: float, key_pressed_s: float) -> bool:
    return now - key_pressed_s < _KEYS_S
