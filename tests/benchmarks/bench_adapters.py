"""What each adapter to Textual earns: the real program with it, and with a name that it needs renamed.

`python tests/benchmarks/bench_adapters.py [--rounds 3] [ADAPTER ...]` prints medians with, without, and their ratio.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path
from statistics import median

from bench_screen import COCKPIT, program
from screen_probe import Probe

RENAMING = Path(__file__).resolve().parents[1] / "terminal" / "renamed"
NAMES = {
    "driver": "_run_input_thread",
    "event loop": "_run_once",
    "key dispatch": "_check_bindings",
}
"""Adapter -> the name that is renamed to turn it off."""
TASKS = 1_000
KEYS = 80

Figures = dict[str, float]


def settled(probe: Probe) -> None:
    """Wait until the program shows its tasks, and move the cursor off the first."""
    probe.wait_for(b"task-0")
    probe.watch(1.0)
    probe.press(b"jjjjj", 0.5)


def figures(renamed: str) -> Figures:
    """Return what one start of the program shows, idle and with four threads that compute."""
    environment = {"PYTHONPATH": str(RENAMING), "RENAMED": renamed}
    with program(COCKPIT, TASKS, "idle", **environment) as probe:
        settled(probe)
        latency = probe.latency(KEYS)
        before_s, before = probe.cpu_s(), probe.received
        probe.latency(2 * KEYS, pause_s=(0, 0))
        found = {
            "p50 idle, ms": latency.p50,
            "p95 idle, ms": latency.p95,
            "CPU per key, ms": (probe.cpu_s() - before_s) / KEYS * 500,
            "bytes per key": (probe.received - before) / KEYS / 2,
        }
    with program(COCKPIT, TASKS, "compute", **environment) as probe:
        settled(probe)
        latency = probe.latency(KEYS)
        return {**found, "p50 4 threads, ms": latency.p50, "p95 4 threads, ms": latency.p95}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("adapters", nargs="*", default=list(NAMES))
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    taken: dict[str, list[Figures]] = defaultdict(list)
    for _ in range(options.rounds):
        for adapter in ("all", *options.adapters):
            taken[adapter].append(figures(NAMES.get(adapter, "no_such_name")))
            print(adapter, taken[adapter][-1], flush=True)
    for adapter in options.adapters:
        for name in taken["all"][0]:
            with_it, without = (median(one[name] for one in taken[key]) for key in ("all", adapter))
            print(f"{adapter:<14}{name:<20}{with_it:>9.1f}{without:>9.1f}{without / with_it:>8.2f}x")


if __name__ == "__main__":
    main()
