"""The own log of a run in the history: the mark in the list, and what `L` shows."""

from __future__ import annotations

from pathlib import Path

from tests.tui.conftest import text_of, until

from pipeloom import Pipeline, TaskDef, run_pipeline
from pipeloom.tui.app import PipeloomApp
from pipeloom.tui.history.screen import HistoryScreen


async def test_a_run_whose_hook_failed_has_a_mark_and_shows_its_log(tmp_path: Path) -> None:
    fine = Pipeline("fine", [TaskDef(1, "a")], lambda task, q: None)
    hooked = Pipeline("hooked", [TaskDef(1, "a")], lambda task, q: None)

    @hooked.on_end
    def tell(summary: object) -> None:
        raise ConnectionError("no [route] to host")

    for pipeline in (hooked, fine):
        run_pipeline(tmp_path / "etl.db", pipeline, ui="none")
    app = PipeloomApp(tmp_path / "etl.db")
    async with app.run_test(size=(140, 40)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, HistoryScreen) and "! ✓1" in text_of(app))
        assert [line.split()[1:2] for line in text_of(app).splitlines() if "! ✓1" in line] == [["1"]]
        await pilot.press("b", "L")
        assert isinstance(app.screen, HistoryScreen), "the line of all runs has no log"
        await pilot.press("down", "L")
        await until(pilot, lambda: "Nothing was logged about this run" in text_of(app))
        await pilot.press("escape", "down", "L")
        await until(pilot, lambda: "ERROR   tell: ConnectionError: no [route] to host" in text_of(app))
        assert "log of run 1  etl.db" in text_of(app)
        await pilot.press("escape", "b", "L")
        await until(pilot, lambda: "ERROR   tell: ConnectionError" in text_of(app))  # from an attempt's row, too
