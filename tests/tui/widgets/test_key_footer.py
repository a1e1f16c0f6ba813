"""The footer: what it shows, and what a click on it does."""

from __future__ import annotations

from typing import ClassVar

import pytest
from tests.tui.conftest import ThemedApp, text_of, until
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.strip import Strip
from textual.widgets import Input

from pipeloom.tui.widgets.key_footer import KeyFooter


class Keys(ThemedApp):
    """Counts the keys that work; `off` works once `ready` is set."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "act('a')", "Act", tooltip="Do it."),
        Binding("b", "act('a')", "Act", show=True),
        Binding("o", "off", "Off", tooltip="Not now."),
        Binding("question_mark", "help", "Help", key_display="?"),
        Binding("slash", "off", "Slash", key_display="/"),
        Binding("ctrl+t", "act('t')", "Tell"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.done: list[str] = []
        self.bells = 0
        self.ready = False

    def compose(self) -> ComposeResult:
        yield KeyFooter()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return self.ready or None if action == "off" else super().check_action(action, parameters)

    def action_act(self, name: str) -> None:
        self.done.append(name)

    def action_off(self) -> None:
        self.done.append("off")

    def action_help(self) -> None:
        self.done.append("help")

    def bell(self) -> None:
        self.bells += 1


async def test_a_click_presses_the_key_under_it() -> None:
    app = Keys()
    async with app.run_test(size=(60, 5)) as pilot:
        await until(pilot, lambda: "palette" in text_of(app))
        line = text_of(app).splitlines()[-1]
        assert line.split("▏")[0].split() == ["a", "Act", "o", "Off", "?", "Help", "^t", "Tell"], (
            "an action is shown once"
        )
        for word in ("Act", "Help"):
            await pilot.click(KeyFooter, offset=(line.index(word), 0))
            await pilot.pause()
        assert app.done == ["a", "help"]
        await pilot.click(KeyFooter, offset=(line.index("Off"), 0))
        await pilot.click(KeyFooter, offset=(line.index("▏") - 3, 0))
        assert (app.done, app.bells) == (["a", "help"], 1)
        app.ready = True
        app.refresh_bindings()
        await pilot.pause()
        await pilot.click(KeyFooter, offset=(line.index("Off"), 0))
        await until(pilot, lambda: app.done == ["a", "help", "off"])


async def test_the_palette_opens_at_the_right_end() -> None:
    app = Keys()
    async with app.run_test(size=(60, 5)) as pilot:
        await until(pilot, lambda: "palette" in text_of(app))
        await pilot.click(KeyFooter, offset=(58, 0))
        await until(pilot, lambda: len(app.screen_stack) == 2)


async def test_the_key_under_the_mouse_says_what_it_does() -> None:
    app = Keys()
    async with app.run_test(size=(60, 5)) as pilot:
        await until(pilot, lambda: "palette" in text_of(app))
        footer = app.query_one(KeyFooter)
        await pilot.hover(KeyFooter, offset=(2, 0))
        assert (footer.hovered, str(footer.tooltip)) == ("a", "Do it.")
        await pilot.hover(KeyFooter, offset=(40, 0))
        assert (footer.hovered, footer.tooltip) == ("", None)


async def test_without_a_change_nothing_is_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    app = Keys()
    async with app.run_test(size=(60, 5)) as pilot:
        await until(pilot, lambda: "palette" in text_of(app))
        drawn = []
        draw = KeyFooter.render_line

        def counted(footer: KeyFooter, y: int) -> Strip:
            drawn.append(y)
            return draw(footer, y)

        monkeypatch.setattr(KeyFooter, "render_line", counted)
        for _ in range(3):
            app.refresh_bindings()
            await pilot.pause(0.05)
        assert drawn == []
        app.ready = True
        app.refresh_bindings()
        await until(pilot, lambda: drawn)


async def test_a_key_that_would_be_typed_is_not_offered() -> None:
    app = Keys()
    async with app.run_test(size=(60, 5)) as pilot:
        await until(pilot, lambda: "palette" in text_of(app))
        await app.mount(field := Input())
        field.focus()
        await until(pilot, lambda: "Act" not in text_of(app))
        assert text_of(app).splitlines()[-1].split("▏")[0].split() == ["^t", "Tell"]
