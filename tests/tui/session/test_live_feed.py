"""What was committed reaches the screen soon, whatever the clock, the timers and the dialogs do."""

from __future__ import annotations

import pytest
from tests.tui.conftest import Cockpit, Synthetic, until
from textual.timer import Timer

from pipeloom.engine.writer.sink import CommitBatch
from pipeloom.status import FINAL, Status
from pipeloom.tui.session.refresh_pacing import LONGEST_WAIT_S
from pipeloom.tui.textual_compat.one_shot import call_in
from pipeloom.tui.widgets.dialogs import ConfirmDialog


@pytest.fixture
def _timers_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drop each timer of Textual that would fire once, as it does itself when the process stands still for a moment."""
    run = Timer._run

    async def only_repeated(timer: Timer) -> None:
        if timer._repeat != 0:
            await run(timer)

    monkeypatch.setattr(Timer, "_run", only_repeated)


@pytest.mark.usefixtures("_timers_are_dropped")
async def test_the_end_of_a_run_is_shown_without_a_timer_of_textual(cockpit: Cockpit, synthetic: Synthetic) -> None:
    async with cockpit.app.run_test(size=(120, 40)) as pilot:
        cockpit.commit(synthetic.rows(), synthetic.run)
        await cockpit.settle(pilot)
        for row in synthetic.rows():  # each comes too soon after the one before to be fetched at once
            if row.status not in FINAL:
                cockpit.commit([row._replace(status=Status.DONE)])
                await pilot.pause()
        await until(pilot, lambda: not cockpit.app.board.counts[Status.RUNNING])


async def test_a_fetch_that_is_lost_is_made_up_for(cockpit: Cockpit, synthetic: Synthetic) -> None:
    async with cockpit.app.run_test(size=(120, 40)) as pilot:
        cockpit.commit(synthetic.rows(), synthetic.run)
        await pilot.pause()
        feed = cockpit.app.feed
        feed.sink.mailbox.drain()
        feed.sink.mailbox.put(_batch(synthetic))  # nobody is told
        feed.pass_second()
        assert feed.sink.mailbox.is_waiting, "it has not waited long"
        cockpit.monotonic += 1.5
        feed.pass_second()
        assert feed.sink.mailbox.drain().commits == 0


def _batch(synthetic: Synthetic) -> CommitBatch:
    return CommitBatch(99, tuple(synthetic.rows()), synthetic.run, 1)


@pytest.mark.parametrize("cost_s", [0.0, 0.01, 0.05, 0.1, 5.0])
@pytest.mark.parametrize("key_s", [0.0, 0.3, 0.9, 5.0])
async def test_no_refresh_and_no_key_makes_the_screen_wait_longer_than_it_may(
    cockpit: Cockpit, synthetic: Synthetic, monkeypatch: pytest.MonkeyPatch, cost_s: float, key_s: float
) -> None:
    waits: list[float] = []

    def noted(host: object, seconds: float, callback: object) -> object:
        waits.append(seconds)
        return call_in(cockpit.app, 1000.0, lambda: None)

    async with cockpit.app.run_test(size=(120, 40)) as pilot:
        cockpit.commit(synthetic.rows(), synthetic.run)
        await cockpit.settle(pilot)
        monkeypatch.setattr("pipeloom.tui.session.live_feed.call_in", noted)
        feed = cockpit.app.feed
        feed.pace.note_cost(cost_s)
        feed.key_pressed_s = cockpit.monotonic - key_s
        feed.fetch_soon()
        assert waits
        assert max(waits) <= LONGEST_WAIT_S


async def test_what_is_committed_while_a_dialog_opens_and_closes_is_shown(
    cockpit: Cockpit, synthetic: Synthetic
) -> None:
    async with cockpit.app.run_test(size=(120, 40)) as pilot:
        rows = synthetic.rows()
        cockpit.commit(rows, synthetic.run)
        await cockpit.settle(pilot)
        for percent in range(20):
            await pilot.press("x")
            await until(pilot, lambda: isinstance(cockpit.app.screen, ConfirmDialog))
            progress = 0.7 + percent / 100
            cockpit.commit([rows[0]._replace(progress=progress)])
            await pilot.press("escape")

            def is_shown(progress: float = progress) -> bool:
                row = cockpit.app.board.row(rows[0].task_id)
                return row is not None and row.progress == progress

            await until(pilot, is_shown)
