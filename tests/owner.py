"""Owns a file and does what a test tells it, through files in the folder: `python owner.py FOLDER TASKS [OPTION …]`.

Task 1 goes on when the file `go-1` is there, all do when `go` is; it then fails if there is a `fail-1`. The engine is
closed when there is a `close`, with `go` when the tasks have ended. `started` (two tasks run) and `closed` say how far the owner is. Options: `no-store`, `stubborn`.
"""

import sys
import threading
from pathlib import Path

from pipeloom.engine.engine import Engine
from pipeloom.engine.options import EngineOptions
from pipeloom.engine.run.summary import RunCounts
from pipeloom.limits.limit import Limit
from pipeloom.messages import MsgTaskLog, MsgTaskProgress, TaskDef
from pipeloom.pipeline import Pipeline
from pipeloom.protocols import Channel
from pipeloom.status import Status

FOLDER = Path(sys.argv[1])
TASKS = int(sys.argv[2])


def await_any(*names: str, q: Channel | None = None) -> None:
    pause = threading.Event()
    while not any((FOLDER / name).exists() for name in names):
        if q is None or "stubborn" in sys.argv:
            pause.wait(0.005)
        else:
            q.sleep(0.005)


def work(task: TaskDef, q: Channel) -> None:
    q.put(MsgTaskProgress(task.task_id, 1, 2, "half of it"))
    q.put(MsgTaskLog(task.task_id, f"a line of {task.task_id}"))
    await_any(f"go-{task.task_id}", "go", q=q)
    if (FOLDER / f"fail-{task.task_id}").exists():
        raise KeyError("temp_max")


def main() -> None:
    tasks = [TaskDef(number, f"gated-{number}", params={"number": number}) for number in range(1, TASKS + 1)]
    options = EngineOptions(store_task_status="no-store" not in sys.argv)
    engine = Engine(FOLDER / "etl.db", Pipeline("gated", tasks, work, workers=2, limits={"api": Limit(2)}), options)
    tally = RunCounts()
    engine.add_sink(tally)
    engine.start()
    pause = threading.Event()
    while tally.total() < TASKS or tally.counts().get(Status.RUNNING, 0) < min(2, TASKS):
        pause.wait(0.005)
    (FOLDER / "started").touch()
    await_any("close")
    if (FOLDER / "go").exists():
        engine.wait(30)
    engine.close(0.1)
    (FOLDER / "closed").touch()


if __name__ == "__main__":
    main()
