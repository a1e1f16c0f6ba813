"""How a run stands: its tasks by status, its exit code, its first line."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

from pipeloom.filters import Filter
from pipeloom.parameters.texts import read_back
from pipeloom.status import FINAL, Exit, RunStatus, Status
from pipeloom.store.file.owner import why_unknown
from pipeloom.store.read.history import History
from pipeloom.store.read.run_queries import Counts, as_left, counts_as_left, is_alive, rows_written, task_counts
from pipeloom.store.rows import RunRow
from pipeloom.text import clean
from pipeloom.times import duration, local_stamp

_STOPPED: Final = frozenset({Status.CANCELLED, Status.INTERRUPTED})


@dataclass(frozen=True, slots=True)
class RunState:
    """How a run stands."""

    run: RunRow
    counts: Counts
    """Tasks whose latest attempt passes the filter."""
    alive: bool
    unchanged: int = 0
    """Tasks without an attempt, because nothing had changed; 0 with a filter."""
    doubt: str = ""
    """Why it cannot be told whether its process lives."""

    @classmethod
    def of(cls, history: History, run: RunRow, where: Filter) -> RunState:
        """Read how a run stands."""
        doubt = why_unknown(history.path) if run.status is RunStatus.RUNNING else ""
        alive, unchanged = not doubt and is_alive(history.path, run), 0 if where else run.unchanged or 0
        return cls(run, task_counts(history, run.id, where), alive, unchanged, doubt)

    @property
    def code(self) -> Exit:
        """The exit code of the run alone."""
        if self.counts.get(Status.ERROR):
            return Exit.FAILED
        ended_badly = _STOPPED if self.alive or self.doubt else _STOPPED | (frozenset(Status) - FINAL)
        if any(self.counts.get(status) for status in ended_badly):
            return Exit.CANCELLED
        return Exit.FAILED if self.counts.get(Status.SKIPPED) else Exit.DONE  # for what an earlier run has failed

    @property
    def as_told(self) -> tuple[RunStatus, Counts]:
        """The status and the counts as they are, or will be once what a dead process has left is settled."""
        if self.alive or self.doubt:
            return self.run.status, self.counts
        return as_left(self.run).status, counts_as_left(self.counts)

    @property
    def tasks(self) -> str:
        """The tasks by status, in words."""
        return counted_tasks(self.as_told[1], self.unchanged) or "no tasks"

    def headline(self) -> str:
        """Return pipeline, run, status and times."""
        run = self.run
        took = duration(run.took_s())
        of = "" if run.parent_run_id is None else f" (continues run {run.parent_run_id})"
        began = local_stamp(run.started_at)
        return f"{clean(run.pipeline, 60)}  run {run.id}{of}: {self.as_told[0]}, since {began}{took and f', {took}'}"


def run_json(history: History, run: RunRow, *, alive: bool) -> dict[str, Any]:
    """Return a run as the file has it, and whether its process lives: one that died leaves the status `running`."""
    more = {"params": read_back(run.params), "rows": rows_written(history, run.id)}
    return {**asdict(run), **more, "duration_s": run.took_s(), "alive": alive}


def counted_tasks(counts: Counts, unchanged: int) -> str:
    """Return tasks by status in words, and how many were left out as unchanged."""
    told = [f"{number:,} {status}" for status, number in counts.items()]
    return ", ".join([*told, f"{unchanged:,} unchanged"] if unchanged else told)
