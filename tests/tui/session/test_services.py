"""The app is what the screens take it for."""

from __future__ import annotations

from pathlib import Path

from pipeloom.tui.app import PipeloomApp
from pipeloom.tui.services import AppServices
from pipeloom.tui.start_screen import StartScreen


def as_services(app: PipeloomApp) -> AppServices:
    """Let mypy compare the app with the protocol."""
    return app


async def test_the_services_of_a_screen_are_those_of_its_app(tmp_path: Path) -> None:
    app = PipeloomApp(tmp_path / "none.db")
    async with app.run_test() as pilot:
        await pilot.pause()
        assert isinstance(app.screen, StartScreen)
        assert app.screen.services is as_services(app)
