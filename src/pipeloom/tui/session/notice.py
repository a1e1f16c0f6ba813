"""What the user should know about the file, for the header."""

from __future__ import annotations

from typing import Final

from pipeloom.status import RunStatus
from pipeloom.tui.session.engine_session import EngineSession
from pipeloom.tui.session.live_feed import LiveFeed
from pipeloom.tui.session.remote_run import RemoteRun

_LARGE_WAL_BYTES: Final = 64 << 20


def notice_of(feed: LiveFeed, session: EngineSession, remote: RemoteRun) -> str:
    """Return the most urgent remark; "" for none."""
    run = feed.board.run
    if remote.doubt:
        return "cannot tell who owns the file"
    if feed.is_viewer and run is not None and run.status is RunStatus.INTERRUPTED and run.finished_at is None:
        return "the program that ran this is gone"
    if session.engine is not None and session.engine.executor_lost is not None:
        return session.engine.executor_lost
    if feed.trouble or feed.wal_bytes < _LARGE_WAL_BYTES:
        return feed.trouble
    return f"write-ahead log of {feed.wal_bytes >> 20:,} MiB: another program keeps the file open for reading"
