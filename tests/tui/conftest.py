"""An app with pipeloom's themes and style sheets and nothing else, for tests of single widgets."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from textual.app import App, ComposeResult
from textual.widget import Widget

from pipeloom.tui.theme import THEMES, css_paths, variable_defaults

NASTY = (
    "[/]",
    "[/b]",
    "[/etc/passwd]",
    "[link=file:///x]here[/link]",
    "[red]x",
    "[bold",
    "[@click=app.quit]x[/]",
    "[$primary]x[/]",
    "[a-z]",
    ":smile:",
    "\\[/]",
    "{x!r} %s $y",
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07",
    "\x1b]52;c;aGk=\x07",
    "\x9b31m",
    "nul\0tab\tcr\rlf\n",
    "\ud800lone",
    "\u202eabc",
    "a\u200bb\ufeff",
    "\U000e0041tag",
    "e" + "\u0301" * 100,
    "日本語のタスク",
    "👩‍👩‍👧‍👦 family",
    "x" * 10_000,
)


class ThemedApp(App[None]):
    """Shows the widgets it is given, styled as the program styles them."""

    CSS_PATH = [*css_paths()]  # noqa: RUF012 - Textual's own declaration is no ClassVar
    TOOLTIP_DELAY = 0.001

    def __init__(self, widgets: Iterable[Widget] = ()) -> None:
        super().__init__()
        self._widgets = tuple(widgets)
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = "pipeloom-dark"

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return variable_defaults(self.current_theme)

    def compose(self) -> ComposeResult:
        yield from self._widgets

    def screen_text(self) -> str:
        """Return what is on the screen, a line of text per line."""
        return "\n".join("".join(segment.text for segment in line) for line in self.screen._compositor.render_strips())


@pytest.fixture
def themed_app() -> Callable[..., ThemedApp]:
    """Make an app of widgets: `themed_app(widget, ...)`."""

    def make(*widgets: Widget) -> ThemedApp:
        return ThemedApp(widgets)

    return make


@pytest.fixture(params=NASTY, ids=[f"nasty{number}" for number in range(len(NASTY))])
def nasty(request: pytest.FixtureRequest) -> Any:
    """A string that does harm when it is taken for anything but text."""
    return request.param
