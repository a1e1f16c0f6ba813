"""What a person waits for at the prompt, in milliseconds of processor: `python tests/benchmarks/bench_answers.py`.

A completion, commands that read a small file, the test of one task, and the masking of a text with 20 secrets; beside
what Python itself takes to start.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from pipeloom import Pipeline, TaskDef, run_pipeline
from pipeloom.secrets import masks
from pipeloom.testing import run_task

TRIES = 9
PROGRAM = (sys.executable, "-c", "from pipeloom.cli import run_main; run_main()")
BREAKS = " \t\n\"'@><=;|&(:"
"""COMP_WORDBREAKS of bash."""
SHOP = Pipeline("shop", [TaskDef("load")], lambda task, q: None)


def of_program(*command: str, **environment: str) -> float:
    """Return the milliseconds of processor that a program takes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def of_call(call: Callable[[], object]) -> float:
    """Return the milliseconds of processor that a call takes."""
    before = time.process_time()
    call()
    return 1000 * (time.process_time() - before)


def show(name: str, measure: Callable[[], float]) -> None:
    """Print the median of the tries, after one that does not count."""
    measure()
    print(f"{name:<44}{statistics.median(measure() for _ in range(TRIES)):>8.1f} ms", flush=True)


def main() -> None:
    """Measure everything."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "etl.db")
        run_pipeline(path, SHOP, ui="none")
        show("python -c pass", lambda: of_program(sys.executable, "-c", "pass"))
        for words in ("--version", f"status {path}", f"runs {path}", f"show {path}"):
            show(f"pipeloom {words.replace(path, 'etl.db')}", lambda words=words: of_program(*PROGRAM, *words.split()))  # type: ignore[misc]
        for line in (f"pipeloom show {path} 'pipeline:", "pipeloom run etl.db --w"):
            show(
                f"completion of {line.replace(path, 'etl.db')}",
                lambda line=line: of_program(*PROGRAM, line, BREAKS, _PIPELOOM_COMPLETE="bash"),  # type: ignore[misc]
            )
    show("run_task of one task", lambda: of_call(lambda: run_task(SHOP, "load")))
    for number in range(20):
        masks.learn(f"s3cr&t/{number} {number * 7919:x}")
    text = "2026-11-27 21:43:37 INFO fetched page 17 of 200 from https://example.org/items?page=17 in 0.31 s" * 10
    show(
        "masking of 1,000 texts of 1,000 characters", lambda: of_call(lambda: [masks.masked(text) for _ in range(1000)])
    )


if __name__ == "__main__":
    main()
