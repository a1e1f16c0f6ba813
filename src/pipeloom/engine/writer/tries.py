"""The waits between tries to write a file that cannot be written now."""

from __future__ import annotations

import threading
from typing import Final

from pipeloom.errors import StoreError
from pipeloom.text import clean

_DELAYS_S: Final = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


class Tries:
    """Counts the tries, and waits longer after each."""

    def __init__(self, giving_up: threading.Event) -> None:
        """Wait until `giving_up` is set, at most."""
        self._giving_up = giving_up
        self.made = 0

    def wait(self, error: Exception) -> None:
        """Wait before the next try; raises `StoreError` when the writer is being stopped."""
        delay_s = _DELAYS_S[min(self.made, len(_DELAYS_S) - 1)]
        self.made += 1
        if self._giving_up.wait(delay_s):
            raise StoreError(f"the file could not be written: {clean(error)}") from error
