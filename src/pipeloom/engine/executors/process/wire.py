"""Frames between a worker process and the program: one byte of kind, then a pickle, over one pipe.

Both ends are this program: nothing from a file or from another program is unpickled.
"""

from __future__ import annotations

import pickle
from typing import Any, Final

RUN: Final = b"r"
"""To the worker: an `Attempt`."""
CANCEL: Final = b"c"
"""To the worker: the id of the attempt that should stop."""
STOP: Final = b"s"
"""To the worker: end when idle."""
STARTED: Final = b"b"
"""To the program: the user's code is about to run; without this frame it did not run."""
MESSAGE: Final = b"m"
"""To the program: one entry for the writer."""
ENDED: Final = b"e"
"""To the program: the `Outcome`, the last frame of the attempt."""


def packed(kind: bytes, value: Any) -> bytes:
    """Return the frame; raises any error of pickling `value`."""
    return kind + pickle.dumps(value, pickle.HIGHEST_PROTOCOL)


def unpacked(frame: bytes) -> Any:
    """Return the value of a frame; raises any error of unpickling it."""
    return pickle.loads(memoryview(frame)[1:])  # noqa: S301 - our own bytes
