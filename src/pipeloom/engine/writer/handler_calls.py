"""Calls of the user's handlers, and which of them has not returned: the writer can be stuck in one."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from pipeloom.errors import StoreError, UsageError
from pipeloom.pipeline import Handler
from pipeloom.store.write.handler_connection import HandlerAuthorizer
from pipeloom.times import monotonic

STUCK_S: Final = 2.0
"""Seconds that the call of a handler gets at least before it is given up."""


class GivenUpError(StoreError):
    """The call of a handler was given up before it returned: what it has written is not committed."""


class HandlerCalls:
    """The handlers of a pipeline. `call` is the writer's; the rest may be asked from any thread."""

    def __init__(self, handlers: Mapping[type, Handler], timeouts: Mapping[type, float] = MappingProxyType({})) -> None:
        self._handlers = {kind: (handler, timeouts.get(kind)) for kind, handler in handlers.items()}
        self._lock = threading.Lock()
        self._running: tuple[str, float] | None = None
        """The message type whose handler runs, and since when."""
        self._given_up: str | None = None

    def call(self, authorizer: HandlerAuthorizer, msg: Any) -> None:
        """Call the message's handler; raises what it raises, and `GivenUpError` when it was given up meanwhile."""
        kind = type(msg)
        handler, timeout_s = self._of(kind)
        self._running = (kind.__name__, monotonic())
        try:
            with authorizer.handler(timeout_s) as connection:
                handler(connection, msg)
        finally:
            with self._lock:
                self._running = None
            if self._given_up is not None:
                raise GivenUpError(self._given_up)

    def give_up(self) -> GivenUpError | None:
        """Give up a call that has not returned for `STUCK_S`; returns why, None when there is none."""
        with self._lock:
            if self._running is None:
                return None
            kind, began = self._running
            took_s = monotonic() - began
            if took_s < STUCK_S:
                return None
            self._given_up = f"the handler for {kind} has not returned for {took_s:.0f} s"
        return GivenUpError(self._given_up)

    def _of(self, kind: type) -> tuple[Handler, float | None]:
        for base in kind.__mro__:
            if base in self._handlers:
                return self._handlers.setdefault(kind, self._handlers[base])
        raise UsageError(f"No handler is registered for {kind.__name__}.")
