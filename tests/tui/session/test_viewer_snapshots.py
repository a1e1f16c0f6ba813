"""What the live screen looks like over a run of another process: a made-up file, a clock that stands still."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.tui.conftest import SnapCompare, Synthetic
from textual.pilot import Pilot

from pipeloom.status import RunStatus
from pipeloom.store.file.owner import OwnerLock, lock_path
from pipeloom.store.write.connect import close_writer, open_writer
from pipeloom.store.write.ledger import Ledger
from pipeloom.tui.app import PipeloomApp


@pytest.fixture
def viewer(tmp_path: Path, synthetic: Synthetic) -> Iterator[PipeloomApp]:
    """A viewer of a file that process 812 owns, as the lock file says."""
    path = tmp_path / "etl.db"
    lock = OwnerLock(path)
    lock.acquire(synthetic.run.started_at)
    lock_path(path).write_text('{"pid": 812, "host": "hal"}', encoding="utf-8")
    connection = open_writer(path)
    ledger = Ledger(connection)
    run = ledger.insert_run(synthetic.run)
    connection.execute("UPDATE pipeline_runs SET pid = 812")
    rows = [row._replace(id=number, run_id=run.id) for number, row in enumerate(synthetic.rows(12), 1)]
    ledger.insert_attempts(rows)
    close_writer(connection)
    yield PipeloomApp(path, clock=lambda: synthetic.clock, monotonic=lambda: 1000.0, read_only=True)
    lock.release()


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_viewer(snap_compare: SnapCompare, viewer: PipeloomApp, size: tuple[int, int]) -> None:
    async def before(pilot: Pilot[None]) -> None:
        for _ in range(500):
            await pilot.pause(0.01)
            if viewer.board.total() == 12 and viewer.board.run is not None:
                break
        assert viewer.board.run is not None
        assert viewer.board.run.status is RunStatus.RUNNING
        viewer.feed.fetch()
        await pilot.pause()

    assert snap_compare(viewer, terminal_size=size, run_before=before)
