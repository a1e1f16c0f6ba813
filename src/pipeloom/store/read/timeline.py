"""A run as lanes of blocks: which worker ran which attempt when, and how it ended."""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from typing import Any, Final, NamedTuple

from pipeloom.messages import TaskId
from pipeloom.status import FINAL, RunStatus, Status
from pipeloom.store.read import values
from pipeloom.store.read.history import History
from pipeloom.store.read.run_queries import as_left, has_died
from pipeloom.store.rows import RunRow

LIMIT: Final = 500_000
"""Attempts of a run that are read at most."""
_TEXT_LIMIT: Final = 300
_LEAST_S: Final = 0.001
"""Shortest length of a block: one without length could not be found on the screen."""

WORST: Final = (
    Status.INTERRUPTED, Status.ERROR, Status.CANCELLED, Status.SKIPPED, Status.CANCELLING, Status.RUNNING, Status.DONE,
    Status.RETRYING, Status.QUEUED,
)  # fmt: skip
"""Statuses from the worst: the first one found is shown for several blocks."""
BAD: Final = frozenset({Status.INTERRUPTED, Status.ERROR, Status.CANCELLED})


class Block(NamedTuple):
    """An attempt on its lane. Times are seconds from the start of the timeline."""

    id: int
    task_id: TaskId
    name: str
    attempt: int
    status: Status
    start_s: float
    end_s: float
    """For an open attempt, the time at which the file was read."""


class Cell(NamedTuple):
    """The blocks of a lane between two moments, as indexes into its blocks."""

    first: int
    """The first block that reaches into it."""
    begun: int
    """The first block that begins in it."""
    stop: int
    """One after its last block."""


class Lane:
    """The blocks of one worker in the order of their starts. Queries cost about the same for any number of blocks."""

    def __init__(self, worker: str, blocks: Iterable[Block]) -> None:
        self.worker = worker
        self.blocks: Sequence[Block] = sorted(blocks, key=lambda block: (block.start_s, block.id))
        self._starts = array("d", (block.start_s for block in self.blocks))
        self._reach = array("d", accumulate((block.end_s for block in self.blocks), max))
        """The latest end of the blocks up to this one: a block may overlap the next when its worker was abandoned."""
        self._busy = array("d", accumulate(self._gains(), initial=0.0))
        self._bad = array("l", accumulate((block.status in BAD for block in self.blocks), initial=0))
        self._of_status = {
            status: array("l", accumulate((block.status is status for block in self.blocks), initial=0))
            for status in {block.status for block in self.blocks}
        }

    @property
    def end_s(self) -> float:
        """Latest end of its blocks."""
        return self._reach[-1]

    def busy_s(self, until_s: float) -> float:
        """Return the seconds that the worker was busy up to a moment; overlapping blocks count once."""
        number = bisect_left(self._starts, until_s)
        return self._busy[number] - max(0.0, self._reach[number - 1] - until_s) if number else 0.0

    def cell(self, start_s: float, stop_s: float) -> Cell:
        """Return the blocks from `start_s` to before `stop_s`."""
        stop = bisect_left(self._starts, stop_s)
        begun = bisect_left(self._starts, start_s, 0, stop)
        return Cell(min(bisect_right(self._reach, start_s), begun), begun, stop)

    def worst(self, start: int, stop: int) -> Status:
        """Return the worst status of the blocks from index `start` to before `stop`."""
        for status in WORST:
            counts = self._of_status.get(status)
            if counts is not None and counts[stop] > counts[start]:
                return status
        return Status.DONE

    def nearest(self, moment_s: float) -> int:
        """Return the index of the block at a moment, else of the one that begins closest to it."""
        after = bisect_right(self._starts, moment_s)
        if after == 0:
            return 0
        if after == len(self.blocks) or moment_s < self.blocks[after - 1].end_s:
            return after - 1
        return after if self._starts[after] - moment_s < moment_s - self._starts[after - 1] else after - 1

    def beside(self, place: tuple[float, int], step: int, *, bad: bool = False) -> int | None:
        """Return the index of the first block after a place (start and id); `step` below 0: of the last before it.

        With `bad` only blocks with a status of `BAD` count.
        """
        number = bisect_left(self.blocks, place, key=lambda block: (block.start_s, block.id))
        if step > 0:
            if number < len(self.blocks) and (self.blocks[number].start_s, self.blocks[number].id) == place:
                number += 1
            if bad:
                number = bisect_right(self._bad, self._bad[number]) - 1
            return number if number < len(self.blocks) else None
        number = (bisect_left(self._bad, self._bad[number]) if bad else number) - 1
        return number if number >= 0 else None

    def _gains(self) -> Iterable[float]:
        """Yield the busy seconds that each block adds."""
        reach = 0.0
        for block in self.blocks:
            yield max(0.0, block.end_s - max(block.start_s, reach))
            reach = max(reach, block.end_s)


@dataclass(frozen=True, slots=True)
class Timeline:
    """The lanes of a run, over the same seconds."""

    run: RunRow
    lanes: Sequence[Lane]
    began: float
    """Unix seconds."""
    length_s: float
    """From the start to the end of the last block."""
    unstarted: int
    """Attempts that have not started, and so are on no lane."""
    straggler: tuple[int, int] | None
    """Indexes of the lane and the block that ended last."""
    alone_s: float
    """Seconds at the end in which only the straggler's worker was busy."""

    @property
    def blocks(self) -> int:
        """The number of all blocks."""
        return sum(len(lane.blocks) for lane in self.lanes)

    @property
    def took_s(self) -> float:
        """What the run took: without the time in which it had ended, before a retry took it up again."""
        return max(0.0, self.length_s - (self.run.idle_s or 0.0))

    def idle(self, lane: Lane) -> float:
        """Return the share of the time in which the worker was idle, 0..1."""
        return 0.0 if self.took_s <= 0 else min(1.0, max(0.0, 1 - lane.busy_s(self.length_s) / self.took_s))


_BLOCKS: Final = f"""
SELECT id, task_id, substr(name, 1, {_TEXT_LIMIT}), attempt, status, started_at, finished_at, duration_s,
substr(worker, 1, {_TEXT_LIMIT}) FROM task_runs WHERE run_id = ? LIMIT {LIMIT}
"""


def read_timeline(history: History, run_id: int, now: float) -> Timeline | None:
    """Return the timeline of a run at `now` (Unix seconds); None when there is no such run."""
    run = history.run(run_id)
    if run is None:
        return None
    died = has_died(history.path, run)
    run = as_left(run) if died else run
    goes_on = run.status is RunStatus.RUNNING
    until = now if goes_on else _seconds(run.heartbeat_at) if died else None
    rows = history.rows(_BLOCKS, [run_id])
    begun = [(_seconds(row[5]), row) for row in rows]
    known = [start for start, _row in begun if start is not None]
    began = min([*known, *([start] if (start := _seconds(run.started_at)) is not None else [])], default=0.0)
    workers: dict[str, list[Block]] = defaultdict(list)
    for start, row in begun:
        if start is not None:
            workers[values.text(row[8])].append(_block(row, start, began, until or start, died=died))
    lanes = [Lane(worker, blocks) for worker, blocks in sorted(workers.items(), key=lambda item: _natural(item[0]))]
    straggler, alone_s = _straggler(lanes)
    length_s = max((lane.end_s for lane in lanes), default=0.0)
    return Timeline(run, lanes, began, length_s, len(rows) - len(known), straggler, alone_s)


def _block(row: tuple[Any, ...], start: float, began: float, until: float, *, died: bool) -> Block:
    status, end = values.status(row[4]), _seconds(row[6])
    if died and status not in FINAL:
        status = Status.INTERRUPTED
    if end is None:
        took = values.number(row[7])
        end = until if took is None else start + took
    return Block(
        row[0], values.task_id(row[1]), values.text(row[2]), values.attempt_number(row[3]), status, start - began,
        max(end, start + _LEAST_S) - began,
    )  # fmt: skip


def _straggler(lanes: Sequence[Lane]) -> tuple[tuple[int, int] | None, float]:
    if not lanes:
        return None, 0.0
    ends = [lane.end_s for lane in lanes]
    last = max(range(len(lanes)), key=ends.__getitem__)
    blocks = lanes[last].blocks
    number = max(range(len(blocks)), key=lambda place: blocks[place].end_s)
    others = max((end for place, end in enumerate(ends) if place != last), default=ends[last])
    return (last, number), lanes[last].busy_s(ends[last]) - lanes[last].busy_s(others)


def _seconds(iso: Any) -> float | None:
    """Return a time of the file as Unix seconds; None when it is none."""
    if not isinstance(iso, str):
        return None
    try:
        moment = datetime.fromisoformat(iso)
        return moment.timestamp() if moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def _natural(text: str) -> list[tuple[int, int, str]]:
    """Return a key that sorts worker-2 before worker-10."""
    return [(0, int(part[:15]), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", text)]
