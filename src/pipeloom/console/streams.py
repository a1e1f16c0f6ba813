"""The three standard streams: what has no other end leads nowhere, and stdout can be kept for data."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO


def point_nowhere(*descriptors: int) -> None:
    """Point descriptors to /dev/null: the interpreter would fail over what cannot be written once more when it ends."""
    null = os.open(os.devnull, os.O_RDWR)
    with suppress(OSError):
        for descriptor in descriptors:
            os.dup2(null, descriptor)
    os.close(null)


def release_lost_terminal() -> None:
    """Point the streams whose terminal has hung up to /dev/null."""
    point_nowhere(*filter(_has_hung_up, range(3)))


def open_missing_streams() -> None:
    """Open a stream that was closed (`>&-`) on /dev/null: the next file that is opened would take its number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDWR)  # the lowest that is free, which is the missing one
            os.set_inheritable(descriptor, True)  # noqa: FBT003 - it takes no keywords
            stream = os.fdopen(descriptor, mode, encoding="utf-8", errors="backslashreplace")
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)


def take_stdout() -> TextIO:
    """Return stdout as a stream for data alone; what tasks and their children print goes to stderr from then on."""
    data = os.dup(sys.stdout.fileno())
    os.dup2(2, 1)
    return os.fdopen(data, "w", encoding="utf-8")


@contextmanager
def prints_to_stderr() -> Iterator[None]:
    """Let what the user's code prints in this block go to stderr: stdout is for data alone."""
    data = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        with suppress(Exception):  # the user's code may have put anything there
            sys.stdout.flush()
        os.dup2(data, 1)
        os.close(data)


def _has_hung_up(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, 0)
    return any(events & select.POLLHUP for _, events in poll.poll(0))
