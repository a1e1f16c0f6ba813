"""The screen's turn at the interpreter."""

from __future__ import annotations

import os
import selectors
import sys
import time
from collections.abc import Iterator

import pytest

from pipeloom.tui.priority import PatientSelector, priority_runner


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
        selector._polled_s = time.monotonic() + 100  # just looked
        assert selector.select(0) == []
        selector._polled_s -= 200
        assert [key.fd for key, _ in selector.select(0)] == [pipe[0]]
        selector._polled_s = time.monotonic() + 100
        assert [key.fd for key, _ in selector.select(None)] == [pipe[0]]


def test_the_switch_interval_is_short_while_the_screen_is_there_and_as_before_afterwards() -> None:
    before = sys.getswitchinterval()

    async def during() -> float:
        return sys.getswitchinterval()

    with priority_runner() as runner:
        assert runner.run(during()) < 0.001
    assert sys.getswitchinterval() == before


async def test_what_was_committed_waits_while_keys_are_pressed(cockpit, synthetic) -> None:  # type: ignore[no-untyped-def]
    async with cockpit.app.run_test(size=(120, 40)) as pilot:
        await cockpit.settle(pilot)
        app = cockpit.app
        app._last_drain = app.key_pressed_s = app.monotonic()
        assert app._drain_wait(app.monotonic()) == pytest.approx(0.25)
        app._drain_took_s = 0.04
        assert app._drain_wait(app.monotonic()) == pytest.approx(0.8)
        assert app._drain_wait(app.monotonic() + 2) < 0
        app.key_pressed_s = float("-inf")
        assert app._drain_wait(app.monotonic()) == pytest.approx(0.16)
