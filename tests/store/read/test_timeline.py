"""A run as lanes of blocks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeloom.status import RunStatus, Status
from pipeloom.store.file.owner import OwnerLock
from pipeloom.store.read.history import History
from pipeloom.store.read.timeline import BAD, WORST, Block, Lane, Timeline, read_timeline
from pipeloom.store.rows import AttemptRow, RunRow
from pipeloom.store.write.connect import close_writer, open_writer
from pipeloom.store.write.ledger import Ledger
from pipeloom.times import stamp

EPOCH = datetime(2026, 8, 1, 12, tzinfo=UTC)
SECONDS = EPOCH.timestamp()


def at(second: float) -> str:
    return stamp(EPOCH + timedelta(seconds=second))


def row(number: int, worker: str | None, start: float | None, end: float | None, **changes: Any) -> AttemptRow:
    base = AttemptRow(number, 1, number, 1, f"task-{number}", Status.DONE, worker=worker)
    return base._replace(
        started_at=None if start is None else at(start), finished_at=None if end is None else at(end), **changes
    )


def read(
    path: Path, rows: list[AttemptRow], status: RunStatus = RunStatus.DONE, now: float = 100, idle_s: float = 0
) -> Timeline:
    connection = open_writer(path, durability="normal")
    ledger = Ledger(connection)
    ledger.insert_run(RunRow(0, "etl", status, at(0)))
    ledger.insert_attempts(rows)
    connection.execute("UPDATE pipeline_runs SET idle_s = ?", (idle_s,))
    close_writer(connection)
    with History(path) as history:
        found = read_timeline(history, 1, SECONDS + now)
    assert found is not None
    return found


def test_each_worker_has_a_lane_and_the_last_straggler_is_known(tmp_path: Path) -> None:
    found = read(
        tmp_path / "etl.db",
        [
            row(1, "worker-10", 0, 4),
            row(2, "worker-2", 1, 6, status=Status.ERROR),
            row(3, "worker-2", 6, 20),
            row(4, None, None, None, status=Status.CANCELLED),
        ],
    )
    assert [lane.worker for lane in found.lanes] == ["worker-2", "worker-10"]
    assert [(block.name, round(block.start_s, 3), round(block.end_s, 3)) for block in found.lanes[0].blocks] == [
        ("task-2", 1, 6),
        ("task-3", 6, 20),
    ]
    assert (found.unstarted, found.straggler) == (1, (0, 1))
    assert found.length_s == pytest.approx(20)
    assert found.alone_s == pytest.approx(16)
    assert found.idle(found.lanes[0]) == pytest.approx(0.05)
    assert found.idle(found.lanes[1]) == pytest.approx(0.8)


def test_the_time_before_a_retry_counts_for_nothing(tmp_path: Path) -> None:
    rows = [row(1, "worker-1", 0, 10), row(2, "worker-2", 0, 5), row(3, "worker-1", 3_610, 3_620)]
    found = read(tmp_path / "etl.db", rows, idle_s=3_600)
    assert found.length_s == pytest.approx(3_620)
    assert found.took_s == pytest.approx(20)
    assert found.alone_s == pytest.approx(15)
    assert [found.idle(lane) for lane in found.lanes] == pytest.approx([0, 0.75])


def test_an_open_attempt_reaches_up_to_now_and_one_that_nobody_ended_has_no_length(tmp_path: Path) -> None:
    rows = [row(1, "worker-1", 5, None, status=Status.RUNNING)]
    lock = OwnerLock(tmp_path / "open.db")
    lock.acquire(at(0))
    assert read(tmp_path / "open.db", rows, RunStatus.RUNNING).length_s == pytest.approx(100)
    assert read(tmp_path / "dead.db", rows, RunStatus.INTERRUPTED).length_s == pytest.approx(5, abs=0.01)
    lock.release()
    found = read(tmp_path / "died.db", rows, RunStatus.RUNNING)
    assert (found.run.status, found.lanes[0].blocks[0].status) == (RunStatus.INTERRUPTED, Status.INTERRUPTED)
    assert found.length_s == pytest.approx(5, abs=0.01), "no heartbeat was heard"


def test_a_run_without_attempts_and_one_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "etl.db"
    found = read(path, [])
    assert (found.lanes, found.length_s, found.straggler) == ([], 0, None)
    with History(path) as history:
        assert read_timeline(history, 2, 0) is None


def test_times_that_are_none_leave_an_attempt_out(tmp_path: Path) -> None:
    odd = row(2, "w", 3, 1)._replace(started_at="yesterday")
    found = read(tmp_path / "etl.db", [row(1, "w", 3, 1), odd, row(3, "", 9, 10)])
    assert [(lane.worker, len(lane.blocks)) for lane in found.lanes] == [("", 1), ("w", 1)]
    assert found.lanes[1].blocks[0].end_s > found.lanes[1].blocks[0].start_s
    assert found.unstarted == 1


quarters = st.integers(0, 80).map(lambda value: value / 4)
lanes = st.lists(
    st.tuples(quarters, st.integers(1, 20).map(lambda value: value / 4), st.sampled_from(WORST)),
    min_size=1,
    max_size=20,
).map(
    lambda made: Lane(
        "w", [Block(n, n, f"t{n}", 1, status, start, start + took) for n, (start, took, status) in enumerate(made, 1)]
    )
)


@given(lane=lanes, start=quarters, width=st.integers(1, 12).map(lambda value: value / 4))
def test_a_cell_holds_every_block_that_reaches_into_it(lane: Lane, start: float, width: float) -> None:
    cell = lane.cell(start, start + width)
    inside = [n for n, block in enumerate(lane.blocks) if block.start_s < start + width and block.end_s > start]
    assert set(inside) <= set(range(cell.first, cell.stop))
    assert all(lane.blocks[n].start_s < start + width for n in range(cell.first, cell.stop))
    assert [n for n, block in enumerate(lane.blocks) if start <= block.start_s < start + width] == list(
        range(cell.begun, cell.stop)
    )
    if cell.first < cell.stop:
        found = {block.status for block in lane.blocks[cell.first : cell.stop]}
        assert lane.worst(cell.first, cell.stop) is next(status for status in WORST if status in found)


@given(lane=lanes, until=quarters)
def test_busy_time_counts_what_overlaps_once(lane: Lane, until: float) -> None:
    ticks = [tick / 8 for tick in range(1, int(until * 8), 2)]
    covered = sum(any(block.start_s < tick < block.end_s for block in lane.blocks) for tick in ticks)
    assert lane.busy_s(until) == pytest.approx(covered / 4)


@given(lane=lanes, bad=st.booleans(), start=quarters, number=st.integers(0, 21))
def test_the_next_block_and_the_one_before_are_found(lane: Lane, bad: bool, start: float, number: int) -> None:
    place = start, number
    known = [(block.start_s, block.id) for block in lane.blocks if block.status in BAD or not bad]
    after, before = lane.beside(place, 1, bad=bad), lane.beside(place, -1, bad=bad)
    wanted = (
        min((key for key in known if key > place), default=None),
        max((key for key in known if key < place), default=None),
    )
    found = [None if n is None else (lane.blocks[n].start_s, lane.blocks[n].id) for n in (after, before)]
    assert tuple(found) == wanted


@given(lane=lanes, moment=quarters)
def test_the_nearest_block_is_one_of_the_lane(lane: Lane, moment: float) -> None:
    block = lane.blocks[lane.nearest(moment)]
    distances = [abs(other.start_s - moment) for other in lane.blocks]
    assert block.start_s <= moment < block.end_s or abs(block.start_s - moment) == min(distances)
