"""From the writer's thread to the screen."""

from __future__ import annotations

from textual.message import Message

from pipeloom.engine.writer.sink import CommitBatch
from pipeloom.status import Status
from pipeloom.store.rows import AttemptRow
from pipeloom.tui.session.bridge import Committed, UiSink, WriterFailed, WriterWaiting


class Post(list[Message]):
    """Takes messages as an app does."""

    def __call__(self, message: Message) -> bool:
        self.append(message)
        return True


def batch(seq: int, *rows: tuple[int, Status]) -> CommitBatch:
    return CommitBatch(
        seq, tuple(AttemptRow(id_, 1, id_, 1, "t", status) for id_, status in rows), messages=10, backlog=seq
    )


def test_many_commits_are_one_wake_up_and_the_newest_state_of_each_attempt() -> None:
    posted = Post()
    sink = UiSink(posted)
    sink.committed(batch(1, (1, Status.RUNNING), (2, Status.QUEUED)))
    sink.committed(batch(2, (1, Status.DONE)))
    assert len(posted) == 1
    assert isinstance(posted[0], Committed)
    delivery = sink.mailbox.drain()
    assert [(row.id, row.status) for row in delivery.attempts] == [(1, Status.DONE), (2, Status.QUEUED)]
    assert (delivery.messages, delivery.backlog) == (20, 2)


def test_after_a_drain_the_next_commit_wakes_up_again() -> None:
    posted = Post()
    sink = UiSink(posted)
    sink.committed(batch(1, (1, Status.RUNNING)))
    sink.mailbox.drain()
    sink.committed(batch(2, (1, Status.DONE)))
    assert len(posted) == 2
    assert len(sink.mailbox.drain().attempts) == 1
    assert sink.mailbox.drain().attempts == ()


def test_an_app_that_is_gone_is_no_reason_to_fail() -> None:
    def closed(message: Message) -> bool:
        raise RuntimeError("Event loop is closed")

    for post in (closed, lambda message: False):
        sink = UiSink(post)
        sink.committed(batch(1, (1, Status.RUNNING)))
        sink.writer_waiting("locked")
        sink.writer_failed(OSError())


def test_trouble_is_told_at_once() -> None:
    posted = Post()
    sink = UiSink(posted)
    sink.writer_waiting("database is locked")
    sink.writer_failed(OSError("gone"))
    assert [type(message) for message in posted] == [WriterWaiting, WriterFailed]
