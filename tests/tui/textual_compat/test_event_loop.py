"""The screen's turn at the interpreter."""

from __future__ import annotations

import os
import selectors
import sys
import time
from collections.abc import Iterator

import pytest

from pipeloom.tui.session.refresh_pacing import RefreshPacing
from pipeloom.tui.textual_compat.event_loop import PatientSelector, priority_runner


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    os.close(reader)
    os.close(writer)


def test_a_loop_with_work_at_hand_looks_for_more_only_now_and_then(pipe: tuple[int, int]) -> None:
    with PatientSelector() as selector:
        selector.register(pipe[0], selectors.EVENT_READ)
        os.write(pipe[1], b".")
        selector._polled_s = time.thread_time() + 100  # just looked
        assert selector.select(0) == []
        selector._polled_s -= 200
        assert [key.fd for key, _ in selector.select(0)] == [pipe[0]]
        selector._polled_s = time.thread_time() + 100
        assert [key.fd for key, _ in selector.select(None)] == [pipe[0]]


def test_the_switch_interval_is_short_while_the_screen_is_there_and_as_before_afterwards() -> None:
    before = sys.getswitchinterval()

    async def during() -> float:
        return sys.getswitchinterval()

    with priority_runner() as runner:
        assert runner.run(during()) < 0.001
    assert sys.getswitchinterval() == before


def test_what_was_committed_waits_while_keys_are_pressed() -> None:
    pace = RefreshPacing()
    pace.began_s = now = 1_000.0
    assert pace.wait_s(now, key_pressed_s=now) == pytest.approx(0.25)
    pace.note_cost(0.04)
    assert pace.wait_s(now, key_pressed_s=now) == pytest.approx(1.6)
    assert pace.wait_s(now + 2, key_pressed_s=now) < 0
    assert pace.wait_s(now, key_pressed_s=float("-inf")) == pytest.approx(0.16)
    assert pace.fits_between_keys(now, key_pressed_s=now)
    assert not pace.fits_between_keys(now, key_pressed_s=now - 2)
    pace.note_cost(0.2)
    assert not pace.fits_between_keys(now, key_pressed_s=now)
