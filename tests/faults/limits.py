"""Runs tasks behind limits for a minute, with errors, waits, other load and kills, and checks when each has started.

    python tests/faults/limits.py --seconds 60 --executor thread

Workers note their starts and ends in a file outside of the database, with the machine's monotonic clock, which all
processes share. A life ends by SIGKILL after some seconds; the next one goes on with `--resume`, in the same folder.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pipeloom import Limit

LIMITS: Final = {"api": Limit(2, 5), "host:*": Limit(2), "slow": Limit(per_second=0.5), "burst": Limit(per_second=20)}
WORKERS: Final = 8
Event = tuple[float, str, str, list[str]]
"""When, what, which task, and its limits."""
IDLE_S: Final = 1.0
"""Seconds for which a worker may be idle although a free task waits: more than a busy machine takes for a dispatch."""
PIPELINE: Final = f"""
import random, sys, time
from pathlib import Path
from pipeloom import Limit, Pipeline, RetryAfter, RetryPolicy, TaskDef

LIMITS = {LIMITS!r}
NOTES = (Path(__file__).parent / "notes").open("a", buffering=1)

def note(what, task):
    NOTES.write(f"{{what}} {{time.monotonic():.6f}} {{task.task_id}} {{' '.join(task.limits)}}\\n")

def begin(task):
    note("start", task)
    return random.Random()

def end(task, choose):
    note("end", task)
    fate = choose.random()
    if fate < 0.1:
        raise ValueError("once more")
    if fate < 0.2:
        raise RetryAfter(choose.uniform(0, 0.5))

def work(task, q):
    choose = begin(task)
    time.sleep(choose.uniform(0.001, 0.15))
    end(task, choose)

async def work_async(task, q):
    import asyncio
    choose = begin(task)
    await asyncio.sleep(choose.uniform(0.001, 0.15))
    end(task, choose)

def tasks():
    choose = random.Random(0)
    kinds = [["api"], ["api", "host:a"], ["host:b"], ["slow"], ["burst"], ["burst", "host:a"]]
    for number in range(5_000):
        yield TaskDef(f"limited-{{number}}", limits=choose.choice(kinds), priority=choose.choice([0, 0, 1]))
    for number in range(15_000):
        yield TaskDef(f"free-{{number}}")

made = dict(workers={WORKERS}, limits=LIMITS, retry=RetryPolicy(50, backoff=0.05))
pipeline = Pipeline("limited", list(tasks()), work, **made)
coroutines = Pipeline("limited", list(tasks()), work_async, **made)
"""
RUN: Final = [sys.executable, "-c", "from pipeloom.cli import run_main; run_main()", "run", "etl.db"]


@dataclass
class Report:
    """What happened."""

    starts: int = 0
    kills: int = 0
    limited: Counter[str] = field(default_factory=Counter)
    """Starts by limit."""
    idle_s: float = 0.0
    """The longest time for which a worker was idle although a free task waited."""
    faults: list[str] = field(default_factory=list)


@dataclass
class Life:
    """One process, from its begin until it was killed."""

    begin: float
    end: float = 0.0


def run(seconds: float, *, executor: str, load: int, seed: int, folder: Path) -> Report:
    """Run for so many seconds in lives of random length, beside `load` processes that compute; return what was found."""
    choose, lives = random.Random(seed), list[Life]()
    (folder / "limited.py").write_text(PIPELINE, encoding="utf-8")
    name = "coroutines" if executor == "async" else "pipeline"
    command = [*RUN, f"limited.py:{name}", "--resume", "--executor", executor, "--json"]
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(load)]
    lasts = (30, 50) if executor == "dask" else (3, 12)  # a cluster takes a while to start
    until = time.monotonic() + seconds
    try:
        while time.monotonic() < until:
            life = Life(time.monotonic())
            lives.append(life)
            process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            try:
                _, said = process.communicate(timeout=min(choose.uniform(*lasts), max(2.0, until - time.monotonic())))
                raise AssertionError(f"The run has ended by itself:\n{said.decode()}")
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
            life.end = time.monotonic()
    finally:
        for other in others:
            other.kill()
            other.wait()
    return judged(folder / "notes", lives)


def judged(notes: Path, lives: list[Life]) -> Report:
    """Compare what the workers have noted with the limits."""
    report = Report(kills=len(lives))
    events = list[Event]()
    for line in notes.read_text(encoding="utf-8").splitlines():
        kind, moment, task, *named = line.split(" ")
        events.append((float(moment), kind, task, [name for name in named if name]))
    events.sort()
    for life in lives:
        own = [event for event in events if life.begin <= event[0] <= life.end + 0.5]
        _check_at_once(own, life, report)
        _check_idle(own, report)
    starts = defaultdict[str, list[float]](list)
    for at, what, _, names in events:
        if what == "start":
            report.starts += 1
            for one in names:
                starts[one].append(at)
    if not report.starts:
        report.faults.append("nothing has started: the lives were too short")
    for name, times in starts.items():
        limit = LIMITS["host:*" if name.startswith("host:") else name]
        report.limited[name] = len(times)
        if limit.per_second is None:
            continue
        for first, last in zip(times, times[limit.starts :], strict=False):
            if last - first < limit.seconds:
                report.faults.append(f"{name}: {limit.starts + 1} starts in {last - first:.4f} s, at {first:.3f}")
    return report


def _check_at_once(events: list[Event], life: Life, report: Report) -> None:
    inside = Counter[str]()
    for at, what, task, names in events:
        for name in names:
            inside[name] += 1 if what == "start" else -1
            most = LIMITS["host:*" if name.startswith("host:") else name].at_once
            if most is not None and inside[name] > most:
                report.faults.append(
                    f"{name}: {inside[name]} at once, with {task}, {at - life.begin:.3f} s after a begin"
                )


def _check_idle(events: list[Event], report: Report) -> None:
    """Check that no worker waits while a free task does; there are more free tasks than a life can run."""
    running, since = 0, None
    for at, what, _, _ in events:
        running += 1 if what == "start" else -1
        if since is not None and running >= WORKERS:
            report.idle_s, since = max(report.idle_s, at - since), None
        elif since is None and running < WORKERS and what == "end":
            since = at
    if report.idle_s > IDLE_S:
        report.faults.append(f"a worker was idle for {report.idle_s:.2f} s although free tasks waited")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--executor", default="thread", choices=["thread", "process", "async", "dask"])
    parser.add_argument("--load", type=int, default=2, help="processes that compute beside it")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = run(given.seconds, executor=given.executor, load=given.load, seed=given.seed, folder=Path(folder))
    print(f"seed {given.seed}: {report.starts:,} starts, {report.kills} kills, idle at most {report.idle_s:.3f} s")
    print(", ".join(f"{name} {count:,}" for name, count in sorted(report.limited.items())))
    print("\n".join(report.faults) or "no faults")
    sys.exit(bool(report.faults))


if __name__ == "__main__":
    main()
