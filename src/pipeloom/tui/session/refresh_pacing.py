"""How often the screen is refreshed: as often as the eye can follow, but keys come first."""

from __future__ import annotations

from typing import Final

DRAIN_S: Final = 0.05
"""Minimum seconds between refreshes."""
_KEYS_DRAIN_S: Final = 0.25
"""Minimum seconds between refreshes while keys are pressed."""
_SHARE: Final = 4
"""Refreshes take at most one part in so many of the time."""
_KEYS_SHARE: Final = 40
"""The same, while keys are pressed."""
_LONGEST_DRAIN_S: Final = 0.1
"""Longest refresh that is reckoned with, in seconds."""
_KEYS_S: Final = 1.0
"""Seconds after a key in which another is likely."""
_BETWEEN_KEYS_S: Final = 0.05
"""Longest refresh that fits between two keys, in seconds."""
NEXT_KEY_S: Final = 0.2
"""Seconds that a refresh which fits between keys waits for the next key, to come right after it."""
LONGEST_WAIT_S: Final = 0.25
"""Seconds within which what was committed is fetched, whatever a refresh costs."""


class RefreshPacing:
    """How long the next refresh waits. All times are monotonic seconds."""

    def __init__(self) -> None:
        self.began_s = float("-inf")
        """Start of the last refresh."""
        self._took_s = 0.0
        """Duration of the last refresh."""

    def wait_s(self, now: float, key_pressed_s: float) -> float:
        """Return how long to wait from `now` on; 0 or less when a refresh is due."""
        keys = now - key_pressed_s < _KEYS_S
        least, share = (_KEYS_DRAIN_S, _KEYS_SHARE) if keys else (DRAIN_S, _SHARE)
        return self.began_s + max(least, self._took_s * share) - now

    def fits_between_keys(self, now: float, key_pressed_s: float) -> bool:
        """Tell whether keys are pressed, and a refresh is over before the next one."""
        return now - key_pressed_s < _KEYS_S and self._took_s <= _BETWEEN_KEYS_S

    def note_cost(self, took_s: float) -> None:
        """Note the duration of a refresh."""
        self._took_s = min(took_s, _LONGEST_DRAIN_S)
