"""How long the plan of a run for what has changed takes: 100,000 tasks with a file, params and a version each.

    python tests/benchmarks/bench_plan.py [TASKS] [RUNS]

RUNS (1 unless given) is the number of earlier runs of all tasks in the file. Prints the seconds, those of the processor
(on a machine that is not quiet they tell more), and what they go to.
"""

from __future__ import annotations

import cProfile
import os
import pstats
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from pipeloom import Pipeline, TaskDef
from pipeloom.engine.changes.input_key import taken
from pipeloom.engine.changes.plan import Plan, plan_run
from pipeloom.engine.options import EngineOptions
from pipeloom.engine.run.same_task import stored_params
from pipeloom.pipeline import list_tasks
from pipeloom.status import RunStatus, Status
from pipeloom.store.rows import AttemptRow, RunRow
from pipeloom.store.write.connect import close_writer, open_writer
from pipeloom.store.write.ledger import Ledger
from pipeloom.times import now_stamp, utc_now

OLD_S = 1_700_000_000


def main(tasks: int, runs: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        listed = list(_tasks(Path(folder), tasks))
        path = Path(folder) / "etl.db"
        _history(path, listed, runs)
        pipeline = Pipeline("bench", listed, lambda task, q: None, changed=True)
        print(f"{tasks:,} tasks, {runs} earlier runs of all")
        for number in range(3):
            began, busy = time.perf_counter(), time.process_time()
            plan = _plan(path, pipeline)
            took, busy = time.perf_counter() - began, time.process_time() - busy
            left = len(plan.unchanged or ())
            print(
                f"plan {number + 1}: {took:.2f} s ({busy:.2f} s busy), {len(plan.tasks)} would run, {left:,} unchanged"
            )
        os.utime(listed[0].inputs[0])  # type: ignore[index] # a tuple
        (Path(folder) / "1").write_text("other", encoding="utf-8")
        began = time.perf_counter()
        plan = _plan(path, pipeline)
        print(f"one touched, one changed: {time.perf_counter() - began:.2f} s, {plan.tasks[0].why}")
        profile = cProfile.Profile()
        profile.runcall(_plan, path, pipeline)
        pstats.Stats(profile).sort_stats("tottime").print_stats(12)


def _plan(path: Path, pipeline: Pipeline) -> Plan:
    return plan_run(path, pipeline, list_tasks(pipeline, {}), EngineOptions(), None, utc_now())


def _tasks(folder: Path, count: int) -> Iterator[TaskDef]:
    for number in range(count):
        path = folder / str(number)
        path.write_text(f"row {number}", encoding="utf-8")
        os.utime(path, ns=(OLD_S * 10**9 + 1, OLD_S * 10**9 + 1))
        yield TaskDef(
            number, f"file-{number}", params={"day": "2026-11-01", "part": number}, inputs=[path], version="1"
        )


def _history(path: Path, tasks: list[TaskDef], runs: int) -> None:
    connection = open_writer(path)
    ledger, last = Ledger(connection), 0
    keys = [taken(task, None, lambda: None) for task in tasks]
    for _ in range(runs):
        ledger.begin()
        run = ledger.insert_run(RunRow(0, "bench", RunStatus.DONE, now_stamp()))
        rows = [
            AttemptRow(
                last + place, run.id, task.task_id, 1, task.name, Status.DONE, params=stored_params(task), input_key=key
            )
            for place, (task, key) in enumerate(zip(tasks, keys, strict=True), 1)
        ]
        ledger.insert_attempts(rows)
        ledger.commit()
        last += len(rows)
    close_writer(connection)


if __name__ == "__main__":
    main(*(int(number) for number in (sys.argv[1:] + ["100000", "1"][len(sys.argv) - 1 :])[:2]))
