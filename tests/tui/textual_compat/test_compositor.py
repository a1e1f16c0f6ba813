"""What is painted, and what is left alone."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from textual.app import App, ComposeResult
from textual.containers import Container
from textual.geometry import Region
from textual.screen import Screen
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Static

from pipeloom.tui.textual_compat.compositor import FrugalCompositor


class _Lines(Static):
    """Ten lines."""


class _Plain(Screen[None]):
    DEFAULT_CSS = "_Plain { layers: below above; } _Lines { height: 10; } .over { layer: above; width: 20; height: 4; }"

    def compose(self) -> ComposeResult:
        with Container():
            yield _Lines("\n".join(f"line {number} [not markup" for number in range(10)), markup=False)
            yield Static("on top", classes="over")


class _Frugal(_Plain):
    def __init__(self) -> None:
        super().__init__()
        self._compositor = FrugalCompositor()


class _App(App[None]):
    def __init__(self, screen: Screen[None]) -> None:
        super().__init__()
        self._first = screen

    def get_default_screen(self) -> Screen[None]:
        return self._first


def _text(screen: Screen[Any]) -> list[str]:
    return [strip.text for strip in screen._compositor.render_strips()]


async def test_only_lines_that_are_painted_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    app = _App(_Frugal())
    async with app.run_test(size=(40, 12)) as pilot:
        await pilot.pause()  # all is painted once
        asked: Counter[str] = Counter()
        render_lines = Widget.render_lines

        def counted(widget: Widget, crop: Region) -> list[Strip]:
            asked[type(widget).__name__] += crop.height
            return render_lines(widget, crop)

        monkeypatch.setattr(Widget, "render_lines", counted)
        app.screen.query_one(_Lines).refresh(Region(0, 6, 40, 2))
        await pilot.pause()
        assert asked == {"_Lines": 2}  # the container and the screen are hidden there


async def test_the_screen_is_the_same_as_with_textuals_own() -> None:
    texts = []
    for screen in (_Plain(), _Frugal()):
        app = _App(screen)
        async with app.run_test(size=(40, 12)) as pilot:
            app.screen.query_one(".over", Static).update("something else")
            await pilot.pause()
            app.screen.query_one(_Lines).styles.offset = (-3, -2)
            await pilot.pause()
            texts.append(_text(app.screen))
    assert texts[0] == texts[1]
