"""One run in full: what it was, how it stands, and its own log, which is what hooks raise, print and log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from pipeloom.cli.runs.state import RunState, run_json
from pipeloom.errors import UsageError
from pipeloom.filters import Filter
from pipeloom.parameters.texts import read_back, words_of
from pipeloom.store.read.history import History
from pipeloom.store.rows import LogRow
from pipeloom.text import clean
from pipeloom.times import shown

_TEXT = 1 << 16


def state_of(history: History, run_id: int) -> RunState:
    """Return how a run stands; raises `UsageError` when there is none with this number."""
    run = history.run(run_id)
    if run is None:
        raise UsageError(f"There is no run {run_id} in {history.path}: pipeloom runs lists them.")
    return RunState.of(history, run, Filter())


def one_as_json(history: History, state: RunState) -> dict[str, Any]:
    """Return a run with its log."""
    run = run_json(history, state.run, alive=state.alive)
    return {"run": run, "counts": state.counts, "log": [asdict(line) for line in history.run_logs(state.run.id)]}


def one_as_lines(history: History, state: RunState) -> Iterator[str]:
    """Yield the lines of a run, with its log."""
    run = state.run
    yield f"{state.headline()}\n"
    if given := words_of(read_back(run.params)):
        yield f"  with {clean(given, 250)}\n"
    yield f"  {state.tasks}\n"
    if state.doubt:
        yield f"  {clean(state.doubt)}\n"
    facts = {"pipeline": run.source, "executor": run.executor, "workers": run.workers, "host": run.host}
    yield from (f"  {name:<9} {clean(value, 300)}\n" for name, value in facts.items() if value)
    log = history.run_logs(run.id)
    yield from log_lines(log) if log else ["\nNothing was logged about the run itself.\n"]


def log_lines(log: Sequence[LogRow]) -> Iterator[str]:
    """Yield a log with its title; nothing for an empty one."""
    zones = {shown(line.at, "%Z") for line in log} - {""}
    pattern = "%H:%M:%S" if len(zones) == 1 else "%H:%M:%S %Z"
    if log:
        yield f"\nlog ({zones.pop()}):\n" if len(zones) == 1 else "\nlog:\n"
    for line in log:
        yield indented(f"{shown(line.at, pattern)} {clean(line.level, 8):<8} {clean(line.text, _TEXT, multiline=True)}")


def indented(text: str) -> str:
    """Return a text with all of its lines moved to the right."""
    return "".join(f"  {line}\n" for line in clean(text, _TEXT, multiline=True).split("\n"))
