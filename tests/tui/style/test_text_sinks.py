"""Nasty strings at every place of the screen that shows text: the app lives, and shows what was sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from rich.cells import cell_len
from tests.tui.conftest import MakeThemedApp, text_of
from textual.widgets import Button, Label, OptionList, Static, TabbedContent, TabPane

from pipeloom.status import RunStatus, Status
from pipeloom.text import clean
from pipeloom.tui.style.text import cell, cell_first_line, clip, clip_middle, content, lines
from pipeloom.tui.table.columns import Column
from pipeloom.tui.table.virtual_table import VirtualTable
from pipeloom.tui.widgets.header import HeaderState, RunHeader

SHOWN = 20


class OneRow:
    """A row source of one string."""

    def __init__(self, text: str) -> None:
        self.text = text

    def count(self) -> int:
        return 1

    def window(self, start: int, stop: int) -> list[str]:
        return [self.text][start:stop]

    def key(self, row: str) -> str:
        return row

    def index(self, key: object) -> int | None:
        return 0 if key == self.text else None


def shown_of(text: str) -> str:
    """The start of what must be on the screen."""
    return clean(text)[:SHOWN].rstrip()


def static(text: str) -> Static:
    return Static(content(text))


def label(text: str) -> Label:
    return Label(content(text))


def button(text: str) -> Button:
    return Button(content(text))


def titled(text: str) -> Static:
    widget = Static("inside")
    widget.styles.border = ("round", "white")
    widget.border_title = content(text)
    return widget


def options(text: str) -> OptionList:
    return OptionList(content(text))


def tabs(text: str) -> TabbedContent:
    tabbed = TabbedContent()
    tabbed.compose_add_child(TabPane(content(text), Static("inside")))
    return tabbed


def table(text: str) -> VirtualTable[str]:
    return VirtualTable(OneRow(text), [Column("text", "Text", lambda row, _context: cell(row), width=10, share=1)])


def header(text: str) -> RunHeader:
    widget = RunHeader()
    widget.state = HeaderState(
        pipeline=text, file=text, executor=text, status=RunStatus.RUNNING, counts={Status.DONE: 1}
    )
    return widget


SINKS: tuple[Callable[[str], Any], ...] = (static, label, button, titled, options, tabs, table, header)


async def test_every_sink_shows_it_as_text(themed_app: MakeThemedApp, nasty: str) -> None:
    widgets = [sink(nasty) for sink in SINKS]
    for widget in widgets:
        widget.styles.height = 5
    async with themed_app(*widgets).run_test(size=(120, 45), notifications=True) as pilot:
        await pilot.pause()
        screen = text_of(pilot.app).split("\n")
        for widget in widgets:
            region = widget.region
            assert shown_of(nasty) in "\n".join(screen[region.y : region.bottom]), type(widget).__name__


async def test_a_toast_and_a_tooltip_show_it_as_text(themed_app: MakeThemedApp, nasty: str) -> None:
    widget = Static("inside")
    widget.tooltip = content(nasty)
    async with themed_app(widget).run_test(size=(120, 40), notifications=True, tooltips=True) as pilot:
        await pilot.hover(widget)
        pilot.app.notify(clean(nasty), title=clean(nasty), markup=False)
        await pilot.pause()
        await pilot.pause(0.05)
        assert text_of(pilot.app).count(shown_of(nasty).split()[0]) >= 3


async def test_lines_are_kept_and_nothing_can_be_clicked(themed_app: MakeThemedApp) -> None:
    text = "one\r\n\ttwo [@click=app.bell]x[/]\n\x1b[31mthree"
    app = themed_app(Static(lines(text)))
    async with app.run_test(size=(80, 12), notifications=True) as pilot:
        await pilot.pause()
        shown = [line.rstrip() for line in text_of(app).split("\n")[:3]]
        assert shown == ["one", "    two [@click=app.bell]x[/]", "␛[31mthree"]
        assert not any(
            style.meta for style in (app.screen.get_style_at(x, 1) for x in range(40)) if "@click" in style.meta
        )


async def test_every_line_of_a_table_is_as_wide_as_the_table(themed_app: MakeThemedApp, nasty: str) -> None:
    async with themed_app(table(nasty)).run_test(size=(60, 5)) as pilot:
        await pilot.pause()
        assert {cell_len(line) for line in text_of(pilot.app).split("\n")} == {60}


def test_the_first_line_of_an_error_fits_a_cell() -> None:
    assert cell_first_line("\n KeyError: 'a'\n more").plain == "KeyError: 'a'"


@pytest.mark.parametrize("width", range(12))
@pytest.mark.parametrize("cut", [clip, clip_middle])
def test_a_clipped_text_fits_its_cells(cut: Callable[[str, int], str], width: int, nasty: str) -> None:
    text = clean(nasty)
    assert cell_len(cut(text, width)) <= width


def test_clipping_keeps_what_fits_and_marks_what_is_missing() -> None:
    assert clip("seattle", 7) == "seattle"
    assert clip("seattle", 5) == "seat…"
    assert clip("日本語", 4) == "日…"
    assert clip_middle("/home/someone/etl.db", 12) == "/ho…e/etl.db"
