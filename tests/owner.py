"""A process that owns a file and does what the test tells it, through files in its folder."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

PATIENCE_S = 30.0

_CODE = """
import os, sys, threading
from pathlib import Path
from pipeloom import *
from pipeloom.engine.engine import Engine
from pipeloom.engine.options import EngineOptions

folder = Path(sys.argv[1])
tasks = int(sys.argv[2])
store = sys.argv[3] == "store"

def gate(*names, q=None):
    pause = threading.Event()
    while not any((folder / name).exists() for name in names):
        q.sleep(0.005) if q else pause.wait(0.005)

def work(task, q):
    q.put(MsgTaskProgress(task.task_id, 1, 2, "half of it"))
    q.put(MsgTaskLog(task.task_id, f"a line of {task.task_id}"))
    gate(f"go-{task.task_id}", "go", q=q)
    if (folder / f"fail-{task.task_id}").exists():
        raise KeyError("temp_max")

made = [TaskDef(n, f"gated-{n}", params={"number": n}) for n in range(1, tasks + 1)]
engine = Engine(folder / "etl.db", Pipeline("gated", made, work, workers=2), EngineOptions(store_task_status=store))
engine.start()
(folder / "started").touch()
gate("close")
engine.close(0.1)
(folder / "closed").touch()
"""


class OwnerProcess:
    """Tasks `gated-1`, … of two workers; task 1 goes on when the file `go-1` is there, all do when `go` is."""

    def __init__(self, folder: Path, tasks: int = 5, *, store: bool = True) -> None:
        self.folder = folder
        for name in ("started", "closed", "close"):
            (folder / name).unlink(missing_ok=True)
        self.process = subprocess.Popen(
            [sys.executable, "-c", _CODE, str(folder), str(tasks), "store" if store else "none"],
            env={**os.environ, "HOME": str(folder)},
        )
        self.wait_for("started")

    @property
    def pid(self) -> int:
        return self.process.pid

    def tell(self, *names: str) -> None:
        for name in names:
            (self.folder / name).touch()

    def wait_for(self, name: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not (self.folder / name).exists():
            assert time.monotonic() < deadline, f"{name} did not come"
            assert self.process.poll() is None or name == "closed", "the owner has died"
            time.sleep(0.005)

    def close(self) -> None:
        """Let the owner end in good order."""
        self.tell("close")
        self.wait_for("closed")
        self.process.wait(PATIENCE_S)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(PATIENCE_S)
