"""Worker functions of tasks that come after others, where every process finds them."""

from __future__ import annotations

from typing import Any

from pipeloom.pipeline import WorkerFn


def nothing(task: Any, q: Any) -> None:
    pass


def seven(task: Any, q: Any) -> int:
    return 7


def double(task: Any, q: Any) -> int:
    return int(q.results["a"]) * 2


def double_page(task: Any, q: Any) -> int:
    return int(q.results["page"]) * 2


def names(task: Any, q: Any) -> list[str]:
    return sorted(q.results)


def fails(task: Any, q: Any) -> None:
    raise ValueError("no")


async def soon(task: Any, q: Any) -> int:
    return 7


async def double_soon(task: Any, q: Any) -> int:
    return int(q.results["a"]) * 2


async def nothing_soon(task: Any, q: Any) -> None:
    pass


def of(executor: str) -> dict[str, WorkerFn]:
    """The functions that an executor can run."""
    if executor == "async":
        return {"seven": soon, "double": double_soon, "nothing": nothing_soon}
    return {"seven": seven, "double": double, "nothing": nothing}
