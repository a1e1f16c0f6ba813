"""A pipeline whose end is noted in a file, with the process that has called."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pipeloom import Pipeline, RunSummary, TaskDef


def work(task: TaskDef, q: Any) -> None:
    return


pipeline = Pipeline("hooked", [TaskDef(1, "one")], work)


@pipeline.on_end
def seen(summary: RunSummary) -> None:
    with Path(os.environ["PIPELOOM_TEST_SEEN"]).open("a", encoding="utf-8") as file:
        file.write(f"{os.getpid()}\n")
