"""Keeps the logs of Dask and its event loops off the terminal, in the program and on workers that it has started."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any, Final

LOGGERS: Final = ("distributed", "distributed.client", "bokeh", "tornado", "tornado.application")
"""Dask gives each of these a handler that writes to stderr."""

_log = logging.getLogger("pipeloom.dask")


class _DebugHandler(logging.Handler):
    """Logs Dask's records to `pipeloom.dask` at level DEBUG: the run reports what they mean for tasks."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log a record."""
        if _log.isEnabledFor(logging.DEBUG):
            _log.debug("%s: %s", record.name, record.getMessage())


class QuietLoggers:
    """Replaces the handlers of Dask's loggers while it has users."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._before: dict[str, list[logging.Handler]] = {}

    def start(self) -> None:
        """Add a user; the first one replaces the handlers."""
        with self._lock:
            self._users += 1
            if self._users == 1:
                for name in LOGGERS:
                    logger = logging.getLogger(name)
                    self._before[name] = logger.handlers
                    logger.handlers = [_DebugHandler()]

    def stop(self) -> None:
        """Remove a user; the last one restores the handlers."""
        with self._lock:
            self._users -= 1
            if self._users == 0:
                for name, handlers in self._before.items():
                    logging.getLogger(name).handlers = handlers


quiet_loggers: Final = QuietLoggers()


def quiet_loop_errors(loop: asyncio.AbstractEventLoop) -> None:
    """Log the unhandled errors of a loop of Dask's at level DEBUG.

    Dask leaves futures behind when a loop ends, and asyncio logs their errors when they are garbage-collected.
    """

    def log_error(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        _log.debug("%s: %r", context["message"], context.get("exception"))

    loop.set_exception_handler(log_error)
