"""Keeps what Dask and its event loops have to say from the screen, here and on workers of our own."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any, Final

LOGGERS: Final = ("distributed", "distributed.client", "bokeh", "tornado", "tornado.application")
"""Each of these writes to stderr by a handler of its own, as Dask sets them up."""

_log = logging.getLogger("pipeloom.dask")


class _Quiet(logging.Handler):
    """Sends what Dask logs to the log `pipeloom.dask`, where it is a detail: the run tells what it means for tasks."""

    def emit(self, record: logging.LogRecord) -> None:
        """Pass a record on."""
        if _log.isEnabledFor(logging.DEBUG):
            _log.debug("%s: %s", record.name, record.getMessage())


class Silence:
    """Keeps Dask's loggers from the screen, for as long as somebody needs that."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._before: dict[str, list[logging.Handler]] = {}

    def start(self) -> None:
        """Take the loggers' own handlers away."""
        with self._lock:
            self._users += 1
            if self._users == 1:
                for name in LOGGERS:
                    logger = logging.getLogger(name)
                    self._before[name] = logger.handlers
                    logger.handlers = [_Quiet()]

    def stop(self) -> None:
        """Give them back, when nobody needs the silence any more."""
        with self._lock:
            self._users -= 1
            if self._users == 0:
                for name, handlers in self._before.items():
                    logging.getLogger(name).handlers = handlers


silence: Final = Silence()


def hush(loop: asyncio.AbstractEventLoop) -> None:
    """Have a loop of Dask's own keep its complaints to itself.

    Dask leaves futures behind when a loop ends, and asyncio tells of the errors in them whenever they are collected.
    """

    def complain(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        _log.debug("%s: %r", context["message"], context.get("exception"))

    loop.set_exception_handler(complain)
