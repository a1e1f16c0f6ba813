"""How often the screen is brought up to date: as often as the eye can follow, but keys come first."""

from __future__ import annotations

from typing import Final

DRAIN_S: Final = 0.05
_KEYS_DRAIN_S: Final = 0.25
"""At most this often is the screen brought up to date; less often while keys are pressed, which come first."""
_SHARE: Final = 4
_KEYS_SHARE: Final = 40
"""Of its time, the screen spends at most one part in so many on what was committed."""
_LONGEST_DRAIN_S: Final = 0.1
_KEYS_S: Final = 1.0
"""For so long after a key, another is likely."""
_BETWEEN_KEYS_S: Final = 0.05
NEXT_KEY_S: Final = 0.2
"""For so long what is due and fits between keys waits for the next one, to be shown right after it."""


class RefreshPacing:
    """Says how long what was committed is to wait. All times are monotonic seconds."""

    def __init__(self) -> None:
        self.began_s = float("-inf")
        """When the screen was last brought up to date."""
        self._took_s = 0.0

    def wait_s(self, now: float, key_pressed_s: float) -> float:
        """Return how long to wait from `now` on; not above 0 when it is time."""
        keys = now - key_pressed_s < _KEYS_S
        least, share = (_KEYS_DRAIN_S, _KEYS_SHARE) if keys else (DRAIN_S, _SHARE)
        return self.began_s + max(least, self._took_s * share) - now

    def fits_between_keys(self, now: float, key_pressed_s: float) -> bool:
        """Tell whether keys are pressed, and bringing the screen up to date takes no longer than until the next one."""
        return now - key_pressed_s < _KEYS_S and self._took_s <= _BETWEEN_KEYS_S

    def note_cost(self, took_s: float) -> None:
        """Learn how long it took to bring the screen up to date."""
        self._took_s = min(took_s, _LONGEST_DRAIN_S)
