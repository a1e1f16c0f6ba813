"""What the program takes of the machine: processor at its start, wake-ups at rest, memory and processor of many tasks.

`python tests/benchmarks/bench_footprint.py [start] [rest] [many]`; without a word all three, which takes some minutes.
Processor time and wake-ups are the program's own, so that others on the same machine change them little.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from bench_screen import COCKPIT, CURSOR, HERE, program
from screen_probe import Probe

RUN = ("-c", "from pipeloom.cli import run_main; run_main()")
TUI = ("-c", "from pipeloom.cli import tui_main; tui_main()")
ENDED = 100_000
RESTS_S, WATCHED_S = 12.0, 30.0
FEW, MANY = 10_000, 1_000_000


def used(folder: Path, *command: object, tasks: int = 100) -> tuple[float, float]:
    """Return the processor seconds of a program until its end, and its largest memory in MiB."""
    process = subprocess.Popen(
        [sys.executable, *map(str, command)],
        cwd=folder,
        env={**os.environ, "BENCH_TASKS": str(tasks), "BENCH_WORK": "nothing", "XDG_STATE_HOME": str(folder)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, _, taken = os.wait4(process.pid, 0)
    process.returncode = 0
    return taken.ru_utime + taken.ru_stime, taken.ru_maxrss / 1024


def start() -> None:
    """Print the processor time of short commands, against Python's own start."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        used(folder, *RUN, "run", "etl.db", HERE / "screen_jobs.py")
        commands: dict[str, tuple[object, ...]] = {
            "python -c pass": ("-c", "pass"),
            "import typer": ("-c", "import typer"),
            "pipeloom --version": (*RUN, "--version"),
            "pipeloom status": (*RUN, "status", "etl.db"),
            "pipeloom runs": (*RUN, "runs", "etl.db"),
            "pipeloom show": (*RUN, "show", "etl.db"),
            "pipeloom run, 100 tasks": (*RUN, "run", "etl.db", HERE / "screen_jobs.py"),
        }
        took: dict[str, list[float]] = {told: [] for told in commands}
        for _ in range(11):
            for told, command in commands.items():
                took[told].append(used(folder, *command)[0])
    least = median(took["python -c pass"])
    for told, seconds in took.items():
        print(f"{told:<40}{median(seconds) * 1000:>8.1f} ms{median(seconds) / least:>8.1f}x", flush=True)
    frames = []
    for _ in range(5):
        with program(COCKPIT, 100, "idle") as probe:
            probe.wait_for(b"Progress")
            frames.append(probe.cpu_s())
    print(f"{'pipeloom-tui, first frame':<40}{median(frames) * 1000:>8.0f} ms", flush=True)


def wake_ups(probe: Probe) -> int:
    """Return how often the threads of the program have waited."""
    waited = 0
    for status in Path(f"/proc/{probe.process.pid}/task").glob("*/status"):
        with contextlib.suppress(FileNotFoundError):  # the thread has just ended
            waited += int(status.read_text(encoding="ascii").partition("\nvoluntary_ctxt_switches:")[2].split()[0])
    return waited


def rest() -> None:
    """Print what screens take on which nothing goes on."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def opened(*words: object) -> Probe:
            return Probe(folder, *words, cursor=CURSOR, BENCH_TASKS=str(ENDED), BENCH_WORK="nothing")

        shown = {f"run of {ENDED:,} tasks, ended": opened(*COCKPIT)}
        next(iter(shown.values())).wait_for(f"{ENDED:,}/{ENDED:,}".encode())
        shown["the same, in the history of another"] = opened(*TUI, "etl.db")
        time.sleep(60)  # the home screen counts the seconds since the run, in its first minute
        shown["home screen"] = opened(*TUI)
        for probe in shown.values():
            probe.watch(RESTS_S)
        before, began = {told: (wake_ups(probe), probe.cpu_s()) for told, probe in shown.items()}, time.perf_counter()
        for probe in shown.values():
            probe.watch(WATCHED_S / len(shown))
        took_s = time.perf_counter() - began
        for told, probe in shown.items():
            woken, cpu_s = wake_ups(probe) - before[told][0], probe.cpu_s() - before[told][1]
            print(f"{told:<40}{woken / took_s:>8.1f} wake-ups/s (at most 5){cpu_s / took_s:>9.2%} CPU (at most 0.5 %)")
            probe.kill()


def many() -> None:
    """Print what a task costs in a small and in a large run, and the memory of the large one."""
    costs = []
    for tasks in (FEW, MANY):
        with tempfile.TemporaryDirectory() as name:
            begin_s = used(Path(name), *RUN, "run", "etl.db", HERE / "screen_jobs.py", "--quiet", tasks=100)[0]
            cpu_s, memory = used(Path(name), *RUN, "run", "new.db", HERE / "screen_jobs.py", "--quiet", tasks=tasks)
        costs.append((cpu_s - begin_s) / tasks)
        print(f"{f'{tasks:,} tasks':<40}{costs[-1] * 1e6:>8.0f} µs each{memory:>9.0f} MiB at most", flush=True)
    print(f"{'a task of many against one of few':<40}{costs[1] / costs[0]:>8.2f}x (at most 1.2x)")
    with program(COCKPIT, MANY, "nothing") as probe:
        probe.wait_for(f"{MANY:,}/{MANY:,}".encode())
        print(f"{f'{MANY:,} tasks on the screen, ended':<40}{probe.memory_mib():>8.0f} MiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parts = {"start": start, "rest": rest, "many": many}
    parser.add_argument("parts", nargs="*", metavar="part", help=", ".join(parts))
    for part in parser.parse_args().parts or parts:
        parts[part]()


if __name__ == "__main__":
    main()
