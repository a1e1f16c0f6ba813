"""Calls off the UI thread that may never come back: asyncio's own threads would be waited for at the end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


async def in_daemon_thread(call: Callable[[], T], name: str) -> T:
    """Return `call()`, made in a daemon thread, which does not keep the program when it blocks."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def tell(settle: Callable[[Any], None], value: object) -> None:
        if not answer.done():
            settle(value)

    def tell_soon(settle: Callable[[Any], None], value: object) -> None:
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(tell, settle, value)

    def work() -> None:
        try:
            tell_soon(answer.set_result, call())
        except BaseException as error:  # noqa: BLE001 - raised where the answer is awaited
            tell_soon(answer.set_exception, error)

    threading.Thread(target=work, name=name, daemon=True).start()
    return await answer
