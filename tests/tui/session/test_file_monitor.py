"""The thread that watches the file."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from textual.message import Message

from pipeloom.store.write.connect import close_writer, open_writer
from pipeloom.tui.session import file_monitor
from pipeloom.tui.session.bridge import UiSink
from pipeloom.tui.session.file_monitor import FOLLOW_S, WATCH_S, FileMonitor, MonitorFailed


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_error_of_the_thread_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_path: Path) -> str | None:
        raise ValueError("a mistake")

    def post(message: Message) -> bool:
        posted.append(message)
        return True

    posted: list[Message] = []
    monkeypatch.setattr(file_monitor, "other_owner", fail)
    close_writer(open_writer(tmp_path / "etl.db"))
    monitor = FileMonitor(tmp_path / "etl.db", post, UiSink(post))
    monitor.start()
    monitor._thread.join(10)
    assert [type(message) for message in posted] == [MonitorFailed]


def test_an_app_that_has_ended_ends_the_thread(tmp_path: Path) -> None:
    def post(_message: Message) -> bool:
        raise RuntimeError("Event loop is closed")

    close_writer(open_writer(tmp_path / "etl.db"))
    monitor = FileMonitor(tmp_path / "etl.db", post, UiSink(post))
    monitor.start()
    monitor._thread.join(10)
    assert not monitor._thread.is_alive()


class Looks(threading.Event):
    """Notes for how long the thread would rest, and ends it after three looks."""

    def __init__(self) -> None:
        super().__init__()
        self.rests: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.rests.append(timeout)
        if len(self.rests) == 3:
            self.set()
        return self.is_set()


@pytest.mark.parametrize(("owner", "rest_s"), [(None, WATCH_S), ("pid 1 on earth", FOLLOW_S)])
def test_a_file_that_no_process_owns_is_looked_at_less_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: str | None, rest_s: float
) -> None:
    monkeypatch.setattr(file_monitor, "other_owner", lambda _path: owner)
    close_writer(open_writer(tmp_path / "etl.db"))
    monitor = FileMonitor(tmp_path / "etl.db", lambda _message: True, UiSink(lambda _message: True), recovers=False)
    monitor._stopped = looks = Looks()
    monitor.start()
    monitor._thread.join(10)
    assert looks.rests == [rest_s] * 3
