"""What a run knows of how its tasks have changed, while it goes on."""

from __future__ import annotations

import threading
from collections.abc import Collection, Container

from pipeloom.engine.changes.past import Past
from pipeloom.engine.events import Together
from pipeloom.engine.run.tasks import as_put
from pipeloom.messages import TaskId


class Changes:
    """The past of the tasks, and those that are left out as unchanged, also when workers put them. Thread-safe."""

    def __init__(
        self,
        past: Past | None = None,
        unchanged: Collection[TaskId] | None = None,
        known: Container[TaskId] = frozenset(),
    ) -> None:
        """Start with the `unchanged` tasks of the plan, None in a run for all tasks; `known` ones are not found."""
        self._past = past or Past()
        self._unchanged = None if unchanged is None else set(unchanged)
        self._known = known
        self._lock = threading.Lock()

    def known_key(self, task_id: TaskId) -> str | None:
        """Return the input key with which a task was last done, as JSON."""
        return self._past.key(task_id)

    @property
    def unchanged(self) -> int | None:
        """Number of tasks that are left out; None in a run for all tasks."""
        return None if self._unchanged is None else len(self._unchanged)

    def without_unchanged(self, put: Together) -> Together:
        """Return what a worker has put without the tasks that are left out.

        Looks at their files, and so may block.
        """
        if self._unchanged is None:
            return put
        same = {task.task_id for task in put.found if not self._past.reasons(as_put(task))}
        with self._lock:
            self._unchanged.update(task_id for task_id in same if task_id not in self._known)
        return put._replace(found=tuple(task for task in put.found if task.task_id not in same))
