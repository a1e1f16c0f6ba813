"""A folder of CSV files of which a few change: each run loads those alone.

pipeloom plan etl.db examples/jobs/changed_files.py -p folder=inbox     what would run, and why
pipeloom run etl.db examples/jobs/changed_files.py -p folder=inbox
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from pipeloom import Pipeline, TaskDef


def load(task: TaskDef, q: Any) -> None:
    """Load a file again as a whole."""
    with Path(task.params["file"]).open(newline="", encoding="utf-8") as lines:
        q.put(items.rows({"file": task.name, "line": n, **row} for n, row in enumerate(csv.DictReader(lines), 1)))


pipeline = Pipeline("changed files", worker_fn=load, changed=True, atomic=True)
items = pipeline.table("items", {"file": str, "line": int, "item": str, "price": str}, key=["file", "line"])


@pipeline.tasks
def files(folder: Path) -> list[TaskDef]:
    """Return a task for each file of a folder."""
    return [TaskDef(path.name, inputs=[path], params={"file": str(path)}) for path in sorted(folder.glob("*.csv"))]
