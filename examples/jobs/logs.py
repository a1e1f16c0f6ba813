"""Compressed logs, read by regular expressions in worker processes: work that computes.

pipeloom run etl.db examples/jobs/logs.py -p folder=logs
"""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import Any

from pipeloom import Pipeline, TaskDef

LINE = re.compile(
    r'(?P<host>\S+) \S+ \S+ \[(?P<at>[^]]+)\] "(?P<method>\w+) (?P<path>\S+)[^"]*" (?P<status>\d+) (?P<size>\d+)'
)


def load(task: TaskDef, q: Any) -> None:
    """Store the requests of a file, a thousand at a time; a line that is none is named in the log."""
    found = []
    with gzip.open(task.params["file"], "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if (match := LINE.match(line)) is None:
                print(f"line {number} is no request: {line.rstrip()}")
                continue
            row = match.groupdict()
            found.append(
                {"file": task.name, "line": number, **row, "status": int(row["status"]), "size": int(row["size"])}
            )
            if len(found) == 1000:
                q.put(requests.rows(found))
                found.clear()
    q.put(requests.rows(found))


pipeline = Pipeline("logs", worker_fn=load, executor="process", workers=2)
columns = {"file": str, "line": int, "host": str, "at": str, "method": str, "path": str, "status": int, "size": int}
requests = pipeline.table("requests", columns, key=["file", "line"])


@pipeline.tasks
def files(folder: Path) -> list[TaskDef]:
    """Return a task for each file of a folder."""
    return [TaskDef(path.name, params={"file": str(path.absolute())}) for path in sorted(folder.glob("*.gz"))]
