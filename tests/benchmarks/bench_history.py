"""The history of a long file against that of an empty one, in the real program and in the queries behind it.

`python tests/benchmarks/make_history.py big.db && python tests/benchmarks/bench_history.py big.db` prints a table: first
paint and memory as ratios, every order with every filter in milliseconds, and what a search does to the keys.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from screen_probe import Probe

from pipeloom.filters import parse
from pipeloom.store.read.failures import failure_groups
from pipeloom.store.read.history import History
from pipeloom.store.read.paging import SORTABLE, Sort
from pipeloom.store.read.tasks import task_names, task_stats
from pipeloom.store.write.connect import close_writer, open_writer
from pipeloom.tui.history.queries import AttemptsQuery, RunsQuery
from pipeloom.tui.table.sources import load_pages

CURSOR = "#262a3f"
COMMAND = ("-c", "from pipeloom.cli import tui_main; tui_main()")
FILTERS = (
    "", "status:error", "status:interrupted", "status:cancelled,error", "status:done", "-status:done", "run:777", "started:2026-08-04",
    "started:2026-08-04 status:error", "dur:>9s",
)  # fmt: skip
SEARCHES = ("loaded", "oslo", "needle", "nothing-has-this-name", "needle status:done")


@contextmanager
def program(path: Path) -> Iterator[Probe]:
    with tempfile.TemporaryDirectory() as folder:
        probe = Probe(Path(folder), *COMMAND, path, cursor=CURSOR)
        try:
            yield probe
        finally:
            probe.kill()


def first_paint(path: Path, tries: int, words: bytes) -> tuple[float, float, float]:
    """Return seconds to the first frame and to the first rows, the best of some tries, and the memory after a while."""
    frames, rows, memory = [], [], 0.0
    for _ in range(tries):
        with program(path) as probe:
            frames.append(probe.wait_for(b"history"))
            rows.append(probe.wait_for(words))
            probe.watch(1.0)
            memory = probe.memory_mib()
    return min(frames), min(rows), memory


def best_ms(call: Callable[[], Any], tries: int = 3) -> float:
    took = []
    for _ in range(tries):
        began = time.perf_counter()
        call()
        took.append((time.perf_counter() - began) * 1000)
    return min(took)


def pages(path: Path) -> float:
    """Print the first, the second, a middle and the last page of every order under every filter; return the worst."""
    worst = 0.0
    print(f"\n{'ms for a page':<36}{'order':<14}{'first':>8}{'next':>8}{'middle':>8}{'last':>8}")
    with History(path) as history:
        for text in FILTERS:
            total = history.count(parse(text))
            for column in sorted(SORTABLE):
                took = page_times(history, AttemptsQuery(parse(text), Sort(column)), total)
                worst = max(worst, *took)
                print(f"{text or '(all)':<36}{column:<14}" + "".join(f"{value:>8.1f}" for value in took))
    return worst


def page_times(history: History, query: AttemptsQuery, total: int) -> list[float]:
    first = query.page(history, query.size)
    last = max(0, (total - 1) // query.size)
    return [
        best_ms(lambda: query.page(history, query.size)),
        best_ms(lambda: query.page(history, query.size, after=first[-1])),
        best_ms(lambda: load_pages(query, history, [last // 2], {}, total)),
        best_ms(lambda: load_pages(query, history, [last], {}, total)),
    ]


def lists(path: Path) -> None:
    print(f"\n{'ms for':<50}")
    with History(path) as history:
        names = task_names(history)
        for name, call in (
            ("count of all", history.count),
            ("runs with their counts, a page", lambda: RunsQuery().page(history, 40)),
            ("names of tasks", lambda: task_names(history)),
            ("tasks with figures, a page", lambda: task_stats(history, names[:40])),
            ("failures, grouped", lambda: failure_groups(history)),
        ):
            print(f"{name:<50}{best_ms(call):>8.1f}")
        for text in SEARCHES:
            first = best_ms(partial(history.page, parse(text), limit=100))
            print(f"{'search ' + text + ': first rows':<50}{first:>8.1f}")


def keys(path: Path, count: int) -> None:
    """Print what a key costs, at rest and while searches follow each other."""
    with program(path) as probe:
        probe.wait_for(b"attempts")
        probe.watch(2.0)
        probe.press(b"jjjjj", 1.0)
        idle = probe.latency(count)
        # A word that is nowhere is looked for in all rows; each further letter replaces the search before.
        probe.press(b"/", 0.5)
        began = time.perf_counter()
        for letter in b"nothing-has-this-name":
            probe.press(bytes([letter]), 0.02)
        probe.wait_for(b"No attempts")
        searched = time.perf_counter() - began
        print(f"\nkey to paint p95 at rest {idle.p95:.0f} ms, worst {idle.worst:.0f} ms")
        print(f"21 letters typed, and all rows searched for them, {searched:.2f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--tries", type=int, default=5)
    parser.add_argument("--keys", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        empty = Path(folder) / "empty.db"
        close_writer(open_writer(empty))
        copy = Path(folder) / "big.db"
        shutil.copy(options.path, copy)
        small = first_paint(empty, options.tries, b"Nothing has run")
        large = first_paint(copy, options.tries, b"2018-04")
        print(f"{'':<24}{'frame s':>9}{'rows s':>9}{'MiB':>9}")
        for name, figures in (("empty file", small), (f"{options.path.name}", large)):
            print(f"{name:<24}" + "".join(f"{value:>9.2f}" for value in figures))
        print(f"{'ratio':<24}" + "".join(f"{much / little:>9.2f}" for much, little in zip(large, small, strict=True)))
        worst = pages(copy)
        print(f"worst page {worst:.0f} ms (under 100 ms)")
        lists(copy)
        keys(copy, options.keys)


if __name__ == "__main__":
    main()
