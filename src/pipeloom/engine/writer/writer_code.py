"""The user's code that the writer calls; other code may come while the file is open.

Its schema helpers are called on the writer's thread, between two batches.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from pipeloom.engine.events import CodeChanged
from pipeloom.engine.writer.handler_calls import HandlerCalls, call_schema_helper
from pipeloom.engine.writer.inbox import Inbox
from pipeloom.engine.writer.open_file import OpenFile
from pipeloom.errors import PipeloomError, UsageError
from pipeloom.pipeline import Pipeline, SchemaHelper

_LOOK_S: Final = 0.5
"""Seconds between two looks whether the writer's thread has ended."""


class WriterCode:
    """Schema helpers and handlers."""

    def __init__(self, handlers: HandlerCalls, schemas: Iterable[SchemaHelper], inbox: Inbox) -> None:
        self.handlers = handlers
        self._schemas = tuple(schemas)
        self._inbox = inbox
        self._coming: queue.SimpleQueue[_Coming] = queue.SimpleQueue()

    def set_up(self, file: OpenFile) -> None:
        """Call the schema helpers; raises `UsageError` when one fails."""
        for helper in self._schemas:
            call_schema_helper(helper, file.authorizer, file.ledger)
        file.note_foreign_keys()

    def look(self, file: OpenFile) -> None:
        """Call the helpers of code that comes; on the writer's thread, outside of a transaction."""
        with suppress(queue.Empty):
            while True:
                self._coming.get_nowait().call(file)

    def take(self, code: str | None, pipeline: Pipeline, thread: threading.Thread) -> None:
        """Have the schema helpers of other code called by the writer's thread, and know its handlers.

        Raises `UsageError` when a helper fails, and `WriterFailedError` when nothing can be saved any more; nothing has
        changed then. Without a file open, the helpers are called when it is opened again.
        """
        taken = WriterCode(self.handlers, pipeline.schemas, self._inbox)
        if thread.is_alive():
            coming = _Coming(taken)
            self._coming.put(coming)
            self._inbox.put_now((0, CodeChanged()))
            coming.wait(thread)
        self._schemas = taken._schemas
        self.handlers.take_code(code, pipeline.handlers, pipeline.handler_timeouts)


class _Coming:
    """Code whose helpers are to be called, and what has come of that."""

    def __init__(self, code: WriterCode) -> None:
        self._code = code
        self._over = threading.Event()
        self._error: PipeloomError | None = None

    def call(self, file: OpenFile) -> None:
        """Call the helpers, up to one that fails."""
        try:
            self._code.set_up(file)
        except PipeloomError as error:
            self._error = error
        finally:
            self._over.set()

    def wait(self, thread: threading.Thread) -> None:
        """Wait until the helpers were called, by `thread`; raises what went wrong."""
        while not self._over.wait(_LOOK_S):
            if not thread.is_alive() and not self._over.is_set():
                raise UsageError("The run is over: its code cannot be changed now.")
        if self._error is not None:
            raise self._error
