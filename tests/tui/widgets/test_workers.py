"""The lines of the workers."""

from __future__ import annotations

import pytest

from pipeloom.engine.executors.base import WorkerInfo
from pipeloom.tui.widgets.workers import workers_content


@pytest.mark.parametrize(("cells", "tasks"), [(0, 26), (90, 26), (66, 19), (20, 12)])
def test_the_tasks_have_the_room_that_the_rest_of_a_line_leaves(cells: int, tasks: int) -> None:
    workers = [
        WorkerInfo("tcp://127.0.0.1:33961", 1, (1,), 98.4, 75 << 20, 6_026 << 20),
        WorkerInfo("worker-2", 1, ()),
    ]
    head, busy, idle = workers_content(workers, lambda number: f"seattle-station-{number:020}", cells).plain.split("\n")
    assert len(head.partition("CPU")[0]) - len("tcp://127.0.0.1:33961") == tasks + 6
    assert "…" in busy
    assert "  98%  75 MiB of 6,026" in busy
    assert idle.split() == ["worker-2", "idle"]
    assert len(busy) == 66 or cells != 66
