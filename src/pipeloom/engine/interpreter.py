"""What tasks share with the engine in one interpreter: a limit, hooks, functions that trace, and its memory."""

from __future__ import annotations

import gc
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from pipeloom.errors import UsageError

_log = logging.getLogger(__name__)


class Process:
    """Tells a process from its forks, at a tenth of the cost of asking the system."""

    def __init__(self) -> None:
        self.mark: object = object()
        """Another one in a fork."""
        os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        self.mark = object()


process: Final = Process()

LONGEST_TURN_S: Final = 0.1
"""Seconds after which a thread that computes lets another one go on, at the latest."""
_YOUNG: Final = 10_000
"""New objects after which the garbage collector looks at them. Most of a run's stay, or are in no cycle: to look after
every 700, as Python does, is a sixth of its time."""
_NO_THREAD: Final = "can't start new thread"
"""How Python says it."""
_USUAL_TURN_S: Final = sys.getswitchinterval()
_HOOKS: Final[tuple[tuple[Any, str], ...]] = (
    (threading, "excepthook"),  # without it, no thread can be started
    (sys, "excepthook"),
    (sys, "unraisablehook"),
)


def restore_hooks() -> None:
    """Put Python's own hooks in the place of those that cannot be called: the user's file may have removed them."""
    for module, name in _HOOKS:
        if not callable(getattr(module, name, None)):
            setattr(module, name, getattr(module, f"__{name}__"))


def start_thread(thread: threading.Thread) -> None:
    """Start a thread; raises `UsageError` when the system allows no more of them."""
    try:
        thread.start()
    except RuntimeError as error:
        raise UsageError(no_thread(error) or str(error)) from error


def no_thread(error: BaseException) -> str | None:
    """Return a sentence when the error says that the system allows no more threads."""
    if isinstance(error, RuntimeError) and _NO_THREAD in str(error):
        return f"{_NO_THREAD}: raise the limit of processes (ulimit -u), or that of the container."
    return None


class Interpreter:
    """Keeps the interpreter usable while tasks run in it."""

    def __init__(self) -> None:
        self._hooks: list[Any] = []
        self._traces: tuple[Any, Any] = (None, None)

    def take(self) -> Callable[[], object]:
        """Note how things are, let the garbage collector look less often, and refuse a lower recursion limit.

        Returns what undoes that.
        """
        self._traces = threading.gettrace(), threading.getprofile()
        restore_hooks()
        self._hooks = [getattr(module, name) for module, name in _HOOKS]
        lowest, before = sys.getrecursionlimit(), sys.setrecursionlimit

        def set_limit(limit: int, /) -> None:
            if limit < lowest:
                _log.warning("sys.setrecursionlimit(%d) was ignored: it would hold for the whole program.", limit)
            else:
                before(limit)

        young, *older = gc.get_threshold()
        raised = (max(young, _YOUNG), *older) if young else (0, *older)
        gc.set_threshold(*raised)

        def undo() -> None:
            if sys.setrecursionlimit is set_limit:
                sys.setrecursionlimit = before
            if gc.get_threshold() == raised:
                gc.set_threshold(young, *older)

        sys.setrecursionlimit = set_limit
        return undo

    def repair(self) -> None:
        """Put back what no program can do without; what a task may change for itself is left alone."""
        for (module, name), before in zip(_HOOKS, self._hooks, strict=True):
            if not callable(getattr(module, name, None)):
                setattr(module, name, before)
        if sys.getswitchinterval() > LONGEST_TURN_S:
            sys.setswitchinterval(_USUAL_TURN_S)
        if threading.gettrace() is not self._traces[0]:
            threading.settrace(self._traces[0])
        if threading.getprofile() is not self._traces[1]:
            threading.setprofile(self._traces[1])


class TracesKept:
    """Lets a trace or profile function that the block sets for its thread end with the block."""

    def __enter__(self) -> None:
        """Note what the thread has."""
        self._trace, self._profile = sys.gettrace(), sys.getprofile()

    def __exit__(self, *_error: object) -> None:
        """Put it back."""
        if sys.gettrace() is not self._trace:
            sys.settrace(self._trace)
        if sys.getprofile() is not self._profile:
            sys.setprofile(self._profile)


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Stop the garbage collector while modules or tasks are made, and let it pass them over from then on.

    It would look through all of them again and again: a tenth of the time of a start.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.freeze()
            gc.enable()
