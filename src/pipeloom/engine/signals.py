"""The signals that ask the program to stop, taken so that the second one always ends it.

A Python handler runs only when the main thread gets the interpreter. One long C call of a task may keep it, such as a
regular expression without end. So one of `ASKING` is taken for once, where the C library can: the next one of its kind
then has its usual effect, unless the handler has run and taken it again.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import FrameType
from typing import Any, Final

Handler = Callable[[int, FrameType | None], Any]

ASKING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals of users, service managers and terminals: the second one leaves at once."""
OTHERS: Final = (
    signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF, signal.SIGXCPU
)  # fmt: skip
"""Signals that end a program that does not handle them; some of them are repeated by the kernel."""


_of_children: Final[dict[int, Any]] = {}
"""Handlers of forked children, by signal."""
_masks: Final = threading.local()
"""`before`: the signals that the forking thread had blocked."""


def take(number: int, handler: Handler) -> None:
    """Let `handler` take the signal, on the main thread. It calls this again when it is to have the next one too."""
    signal.signal(number, handler)
    import ctypes

    with suppress(OSError, AttributeError):  # no such function in this C library
        library = ctypes.CDLL(None)
        set_handler, set_once = library.signal, library.__getattr__("__sysv_signal")
        for function in (set_handler, set_once):
            function.restype = ctypes.c_void_p
            function.argtypes = [ctypes.c_int, ctypes.c_void_p]
        # The first call is there to learn Python's own C function; for its moment the signal is ignored.
        set_once(number, set_handler(number, signal.SIG_IGN))


def taken_by(handler: Handler) -> dict[int, Any]:
    """Let `handler` take every signal that would end the program; returns what handled them before.

    A signal that the parent ignores (`nohup`), and one of `OTHERS` that the user's code handles, stays as it is.
    """
    before: dict[int, Any] = {}
    for number in ASKING + OTHERS:
        now = signal.getsignal(number)
        if now is signal.SIG_IGN or (number in OTHERS and now is not signal.SIG_DFL):
            continue
        before[number] = now
        if number in OTHERS:
            signal.signal(number, handler)  # not for once: the next one may come before the handler has run
        else:
            take(number, handler)
    give_children(before)
    return before


def give_children(handlers: Mapping[int, Any]) -> None:
    """Let the children that tasks fork have these handlers before the first signal reaches them.

    Python drops what arrives between the fork and its own hooks: `Pool.terminate` would wait for ever for such a child.
    """
    if not _of_children:
        os.register_at_fork(before=_hold, after_in_parent=_let_through, after_in_child=_give)
    _of_children.update({number: handler for number, handler in handlers.items() if handler is not None})


def _hold() -> None:
    _masks.before = signal.pthread_sigmask(signal.SIG_BLOCK, [*_of_children])


def _let_through() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _masks.before)


def _give() -> None:
    for number, handler in _of_children.items():
        signal.signal(number, handler)
    _let_through()


def take_next(number: int, handler: Handler) -> None:
    """Take the signal again after it has come; one that the kernel repeats is ignored from then on."""
    if number in OTHERS:
        signal.signal(number, signal.SIG_IGN)
    else:
        take(number, handler)
