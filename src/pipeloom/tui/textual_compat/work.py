"""Workers that end with their widget.

Textual cancels the workers of a widget when its children are gone: one that goes on while they go finds none of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from functools import wraps
from types import coroutine
from typing import Any, Concatenate, ParamSpec, TypeVar

from textual import work as textual_work
from textual.dom import DOMNode
from textual.worker import Worker

Node = TypeVar("Node", bound=DOMNode)
Parameters = ParamSpec("Parameters")
Method = Callable[Concatenate[Node, Parameters], Coroutine[Any, Any, None]]


def work(
    *, group: str = "default", exclusive: bool = False
) -> Callable[[Method[Node, Parameters]], Callable[Concatenate[Node, Parameters], Worker[None]]]:
    """Make a worker of a coroutine of a screen or widget; with `exclusive` it cancels the others of its group.

    It is cancelled where it awaits once the widget, or what it is in, has begun to close.
    """

    def decorate(
        method: Method[Node, Parameters],
    ) -> Callable[Concatenate[Node, Parameters], Worker[None]]:
        @textual_work(group=group, exclusive=exclusive)
        @wraps(method)
        async def until_closed(node: Node, *args: Parameters.args, **kwargs: Parameters.kwargs) -> None:
            await _until_closed(node, method(node, *args, **kwargs))

        return until_closed

    return decorate


@coroutine
def _until_closed(node: DOMNode, steps: Coroutine[Any, Any, None]) -> Generator[Any, Any, None]:
    """Carry out the steps of a coroutine; cancel it instead of a step that comes after the end of the node."""
    resume: Callable[[Any], Any] = steps.send
    given: Any = None
    while True:
        if not all(one.is_running for one in node.ancestors_with_self):
            resume, given = steps.throw, asyncio.CancelledError()
        try:
            awaited = resume(given)
        except StopIteration:
            return
        try:
            resume, given = steps.send, (yield awaited)
        except BaseException as error:  # noqa: BLE001 - raised where the coroutine awaits
            resume, given = steps.throw, error
