"""The order of what is on its way to the writer: the queue, and the newest progress of each attempt."""

from __future__ import annotations

import threading

import pytest

from pipeloom.engine.writer.inbox import Entry, Inbox, ProgressSlot
from pipeloom.errors import WriterFailedError
from pipeloom.messages import MsgTaskProgress

MOST = 100


def progress(step: int) -> MsgTaskProgress:
    return MsgTaskProgress(1, step, 10)


def put_progress(inbox: Inbox, slot: ProgressSlot, msg: MsgTaskProgress) -> None:
    """As the reports of an executor do."""
    slot.newest = msg
    if not slot.is_listed:
        inbox.list_progress(slot)


def drained(inbox: Inbox, most: int = MOST) -> list[Entry]:
    return inbox.drain(most, 0.0, 0.0)[0]


def test_the_newest_progress_of_each_attempt_is_taken_once() -> None:
    inbox, first, second = Inbox(), ProgressSlot(1), ProgressSlot(2)
    for step in range(5):
        put_progress(inbox, first, progress(step))
    put_progress(inbox, second, progress(7))
    assert len(inbox) == 2
    assert drained(inbox) == [(1, progress(4)), (2, progress(7))]
    assert drained(inbox) == []
    put_progress(inbox, first, progress(5))
    assert drained(inbox) == [(1, progress(5))]


def test_progress_is_never_ahead_of_what_was_put_before_it() -> None:
    inbox, slot = Inbox(), ProgressSlot(1)
    inbox.put((1, "first"))
    inbox.put((1, "second"))
    put_progress(inbox, slot, progress(1))
    assert drained(inbox, 1) == [(1, "first")]
    put_progress(inbox, slot, progress(2))
    assert drained(inbox, 1) == [(1, "second"), (1, progress(2))]


def test_the_end_of_an_attempt_follows_its_progress() -> None:
    inbox, slot = Inbox(), ProgressSlot(1)
    put_progress(inbox, slot, progress(1))
    inbox.put_end(slot, (1, "end"))
    assert drained(inbox) == [(1, progress(1)), (1, "end")]
    assert drained(inbox) == []


def test_progress_waits_for_no_room() -> None:
    inbox, slot = Inbox(capacity=1), ProgressSlot(1)
    inbox.put((1, "first"))
    put_progress(inbox, slot, progress(1))
    assert drained(inbox) == [(1, "first"), (1, progress(1))]


def test_progress_wakes_a_writer_that_has_nothing_to_do() -> None:
    inbox, slot, found = Inbox(), ProgressSlot(1), list[Entry]()
    waits, wait = threading.Event(), inbox._filled.wait

    def announced(timeout: float | None = None) -> bool:
        waits.set()
        return wait(timeout)

    inbox._filled.wait = announced  # type: ignore[method-assign]
    writer = threading.Thread(target=lambda: found.extend(inbox.drain(1, 0.0, 20.0)[0]))
    writer.start()
    assert waits.wait(20)
    put_progress(inbox, slot, progress(1))
    writer.join(10)
    assert found == [(1, progress(1))]


def test_once_nothing_can_be_saved_the_next_progress_says_so() -> None:
    inbox, slot = Inbox(), ProgressSlot(1)
    put_progress(inbox, slot, progress(1))
    assert inbox.fail(OSError("gone")) == 1
    with pytest.raises(WriterFailedError):
        put_progress(inbox, slot, progress(2))
