"""Themes, shared variables and the way to the style sheets."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.tui.conftest import MakeThemedApp
from textual.color import Color
from textual.css import stylesheet as stylesheet_module
from textual.css.model import RuleSet
from textual.css.parse import parse
from textual.theme import BUILTIN_THEMES, Theme
from textual.widgets import Button

from pipeloom.status import Status
from pipeloom.tui.style import theme as theme_module
from pipeloom.tui.style.theme import DARK, LIGHT, SHEETS, THEMES, css_paths, variable_defaults
from pipeloom.tui.widgets.header import RunHeader


def test_the_style_sheets_of_the_checkout_are_found() -> None:
    assert [path.name for path in css_paths()] == list(SHEETS)
    assert all(path.is_file() for path in css_paths())


def test_the_style_sheets_of_an_installed_package_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "lib" / "pipeloom"
    (package / "css").mkdir(parents=True)
    monkeypatch.setattr(theme_module, "__file__", str(package / "tui" / "style" / "theme.py"))
    assert {path.parent for path in css_paths()} == {package / "css"}


def test_every_status_has_a_colour_in_every_theme() -> None:
    wanted = {f"status-{status}" for status in Status}
    for theme in (*BUILTIN_THEMES.values(), *THEMES):
        assert wanted <= variable_defaults(theme).keys()
    for theme in THEMES:
        assert variable_defaults(theme).keys() <= theme.variables.keys()


@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=["dark", "light"])
def test_what_must_be_read_stands_out_from_every_surface(theme: Theme) -> None:
    surfaces = [Color.parse(color) for color in (theme.background, theme.surface, theme.variables["line-cursor"])]
    read = [theme.foreground, *(value for name, value in theme.variables.items() if name.startswith("status-"))]
    for color in map(Color.parse, [*read, theme.variables["muted"]]):
        for surface in surfaces:
            assert contrast(color, surface) >= 3.5, (color.hex, surface.hex)
    assert contrast(Color.parse(theme.foreground), surfaces[0]) >= 7


@pytest.mark.parametrize("name", [*BUILTIN_THEMES, "pipeloom-dark", "pipeloom-light"])
async def test_the_style_sheets_work_with_every_theme(themed_app: MakeThemedApp, name: str) -> None:
    app = themed_app(RunHeader())
    app.theme = name
    async with app.run_test() as pilot:
        await pilot.pause()
        assert pilot.app.theme == name


async def test_each_style_sheet_is_parsed_once(themed_app: MakeThemedApp, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: Counter[tuple[str, str, tuple[str, str]]] = Counter()

    def count(scope: str, css: str, place: tuple[str, str], **options: Any) -> list[RuleSet]:
        parsed[scope, css, place] += 1
        return list(parse(scope, css, place, **options))

    monkeypatch.setattr(stylesheet_module, "parse", count)
    async with themed_app(RunHeader()).run_test() as pilot:
        await pilot.app.mount(Button("one more source"))
        assert {path for _, _, (path, _) in parsed} >= {*map(str, css_paths())}
        assert {source: times for source, times in parsed.items() if times > 1} == {}


def test_the_style_sheets_name_no_colour_of_their_own() -> None:
    for path in css_paths():
        rules = re.sub(r"/\*.*?\*/", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        assert not re.search(
            r"(color|background|border)[\w-]*:[^;]*(#[0-9a-f]{3,}|\brgb|\b(red|green|blue|white|black)\b)", rules
        ), path


def contrast(one: Color, other: Color) -> float:
    """Contrast ratio as WCAG 2 defines it."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(color: Color) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in color.normalized]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
