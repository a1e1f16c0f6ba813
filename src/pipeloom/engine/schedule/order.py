"""What each task comes after, as it was declared: checked before anything starts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from pipeloom.errors import UsageError
from pipeloom.messages import TaskId, TaskLike
from pipeloom.text import clean

ALL: Final = "*"
"""In `after`: all tasks that do not themselves come after all others."""

After = Sequence[TaskId] | str
"""Ids of tasks, or `ALL`."""

_ID_TYPES: Final = frozenset({int, str})
_SHOWN: Final = 12
"""Ids of a cycle that the error shows."""


def after_of(task: object) -> After:
    """Return what a task comes after, each id once; raises `UsageError` when that is not a list of ids or "*"."""
    given: Any = getattr(task, "after", ())
    if given is None or (type(given) is tuple and not given):
        return ()
    if isinstance(given, str) and given == ALL:
        return ALL
    if type(given) is tuple and len(set(given)) == len(given) and _ID_TYPES.issuperset(map(type, given)):
        return given
    task_id = getattr(task, "task_id", None)
    if isinstance(given, (str, int)):
        raise UsageError(f'Task {task_id!r}: after must be a list of task ids, or "*": write after=[{given!r}].')
    if not isinstance(given, Collection) or isinstance(given, (bytes, Mapping)):
        raise UsageError(f'Task {task_id!r}: after must be a list of task ids, or "*", not {type(given).__name__}.')
    for name in given:
        if isinstance(name, bool) or not isinstance(name, (int, str)):
            raise UsageError(f"Task {task_id!r}: after holds {name!r:.80}, and a task id is an int or a str.")
    return tuple(dict.fromkeys(given))


def check_order(tasks: Sequence[TaskLike]) -> None:
    """Raise `UsageError` when a task comes after one that is not among the tasks, or tasks wait for each other."""
    after: dict[TaskId, Sequence[TaskId]] = {}
    seen: set[TaskId] = set()
    in_order = True
    for task in tasks:
        names = after_of(task)
        if names and names != ALL:
            after[task.task_id] = names
            in_order = in_order and seen.issuperset(names)
        seen.add(task.task_id)
    if in_order:
        return  # each one was listed behind all that it comes after
    for task_id, names in after.items():
        for name in names:
            if name not in seen:
                raise UsageError(
                    f"Task {task_id!r} comes after {name!r:.200}, which no task of the list is.{_meant(name, seen)}"
                )
    if cycle := cycle_of(after):
        raise UsageError(f"These tasks wait for each other, and none could ever run: {shown_cycle(cycle)}.")


def late_of(tasks: Iterable[TaskLike]) -> set[TaskId]:
    """Return the ids of the tasks that come after all others, and of those that come after one of them."""
    after = {task.task_id: names for task in tasks if (names := after_of(task))}
    last = [task_id for task_id, names in after.items() if names == ALL]
    return {*last, *reached(after, last)}


def reached(after: Mapping[TaskId, After], start: Iterable[TaskId]) -> dict[TaskId, TaskId]:
    """Return the tasks that come after those of `start`, directly or not, each with the one that it names on the way.

    Those that come after all others are not reached: whether they are is for the caller to say, by putting them into
    `start`. Each edge is looked at once.
    """
    followers: defaultdict[TaskId, list[TaskId]] = defaultdict(list)
    for task_id, names in after.items():
        for name in () if names == ALL else names:
            followers[name].append(task_id)
    found: dict[TaskId, TaskId] = {}
    going = list(start)
    seen = set(going)
    for name in going:
        for task_id in followers.get(name, ()):
            if task_id not in seen:
                seen.add(task_id)
                found[task_id] = name
                going.append(task_id)
    return found


def cycle_of(after: Mapping[TaskId, Sequence[TaskId]]) -> list[TaskId]:
    """Return ids of which each comes after the next one, the last of them the first again; empty without a cycle."""
    done: set[TaskId] = set()
    for start in after:
        path: dict[TaskId, Iterator[TaskId]] = {} if start in done else {start: iter(after[start])}
        while path:
            here = next(reversed(path))
            for name in path[here]:
                if name in path:
                    ids = list(path)
                    return [*ids[ids.index(name) :], name]
                if name in after and name not in done:
                    path[name] = iter(after[name])
                    break
            else:
                path.popitem()
                done.add(here)
    return []


def shown_cycle(cycle: Sequence[TaskId]) -> str:
    """Return a cycle as text: `a -> b -> a`."""
    ids = [clean(name, 60) for name in cycle]
    if len(ids) > _SHOWN:
        ids = [*ids[: _SHOWN - 2], f"… {len(ids) - _SHOWN + 1:,} more …", ids[-1]]
    return " -> ".join(ids)


def _meant(name: TaskId, there: Collection[TaskId]) -> str:
    """Return a sentence for an id that is there with the other type; else ""."""
    other: TaskId | None = str(name) if isinstance(name, int) else int(name) if name.isdecimal() else None
    return f" There is {other!r}, of the other type." if other in there and other is not None else ""
