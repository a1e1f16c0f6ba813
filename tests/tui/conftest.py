"""An app with pipeloom's themes and style sheets and nothing else, for tests of single widgets."""

from __future__ import annotations

import asyncio
import difflib
import html
import pickle
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import Any, Protocol

import pytest
from pytest_textual_snapshot import node_to_report_path
from textual import app as app_module
from textual import pilot as pilot_module
from textual._context import active_app
from textual.app import App, ComposeResult
from textual.css import stylesheet as stylesheet_module
from textual.css.model import RuleSet
from textual.css.parse import parse
from textual.css.tokenize import tokenize_values
from textual.css.tokenizer import Token
from textual.message_pump import MessagePump
from textual.pilot import Pilot
from textual.widget import Widget
from textual.widgets import Input

from pipeloom.engine.engine import Engine
from pipeloom.engine.writer.sink import CommitBatch
from pipeloom.pipeline import Pipeline, RetryPolicy
from pipeloom.status import RunStatus, Status
from pipeloom.store.rows import AttemptRow, RunRow
from pipeloom.tui.app import PipeloomApp
from pipeloom.tui.history import queries
from pipeloom.tui.live.screen import LiveScreen
from pipeloom.tui.settings import Settings
from pipeloom.tui.style.stylesheet import KeptStylesheet
from pipeloom.tui.style.theme import THEMES, css_paths, variable_defaults
from pipeloom.tui.widgets.toasts import ROOMY


def _rests(pump: MessagePump) -> bool:
    """Whether a part of the app waits for its next message."""
    queue: Any = pump._message_queue
    return queue.empty() and bool(queue.ready_event._waiters)


async def wait_for_idle(min_sleep: float = 0.0, max_sleep: float = 1.0) -> None:
    """Wait until all parts of the app wait for messages.

    Textual's own waits at least 20 ms, twice for each key, and takes a process that gets no turn for one that rests.
    """
    app, rested = active_app.get(), 0
    for _ in range(int(max_sleep / 0.002)):
        await asyncio.sleep(0.002)
        pumps = (pump for pump in (app, *app._registry) if pump.is_running)
        rested = rested + 1 if all(map(_rests, pumps)) else 0
        if rested == 2:
            for screen in app._screen_stack[-1:]:
                screen._on_timer_update()  # what it draws at its next frame
            return


for _module in (app_module, pilot_module):
    vars(_module)["wait_for_idle"] = wait_for_idle


class ParseOnce:
    """Parses each source of a style sheet once with the same variables: all apps of a process share the rules."""

    def __init__(self) -> None:
        self._tokens: dict[frozenset[tuple[str, str]], dict[str, list[Token]]] = {}
        self._rules: dict[object, list[RuleSet]] = {}

    def tokenize_values(self, values: dict[str, str]) -> dict[str, list[Token]]:
        key = frozenset(values.items())
        if key not in self._tokens:
            self._tokens[key] = tokenize_values(values)
        return self._tokens[key]

    def parse(self, *source: Any, **options: Any) -> list[RuleSet]:
        key = (source, *(id(value) if name == "variable_tokens" else value for name, value in options.items()))
        if key not in self._rules:
            self._rules[key] = list(parse(*source, **options))
        return self._rules[key]


_once = ParseOnce()
vars(stylesheet_module).update(parse=_once.parse, tokenize_values=_once.tokenize_values)

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
    VERTICAL_BREAKPOINTS = [(0, "-low"), (ROOMY, "-roomy")]  # noqa: RUF012 - the same

    def __init__(self, widgets: Iterable[Widget] = ()) -> None:
        super().__init__()
        self._widgets = tuple(widgets)
        self.stylesheet = KeptStylesheet(variables=self.get_css_variables())
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = "pipeloom-dark"

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return variable_defaults(self.current_theme)

    def compose(self) -> ComposeResult:
        yield from self._widgets


def text_of(app: App[Any]) -> str:
    """What is on the screen, a line of text per line."""
    return "\n".join("".join(segment.text for segment in line) for line in app.screen._compositor.render_strips())


async def until(pilot: Pilot[None], condition: Callable[[], object]) -> None:
    """Wait for something to come about."""
    for _ in range(1500):
        await pilot.pause()
        if condition():
            return
        await pilot.pause(0.02)
    raise AssertionError(f"it did not come to that:\n{text_of(pilot.app)}")


async def at_rest(pilot: Pilot[None]) -> None:
    """Wait until nothing is being read any more, and all is painted; a read that was given up does not count."""
    for _ in range(500):
        await pilot.pause()
        if all(worker.is_finished for worker in pilot.app.workers):
            await pilot.pause()
            return
        await pilot.pause(0.01)
    raise AssertionError("something is still being read")


@pytest.fixture(autouse=True)
def _time_to_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the history count the tasks of its runs however long that takes: a picture depends on no machine's speed."""
    monkeypatch.setattr(queries, "COUNT_BUDGET_S", 60.0)


class MakeThemedApp(Protocol):
    """Makes an app of widgets."""

    def __call__(self, *widgets: Widget) -> ThemedApp: ...


class SnapCompare(Protocol):
    """Compares a picture of the app with the one that is kept: the fixture of pytest-textual-snapshot."""

    def __call__(
        self,
        app: str | PurePath | App[Any],
        press: Iterable[str] = (),
        terminal_size: tuple[int, int] = (80, 24),
        run_before: Callable[[Pilot[None]], Awaitable[None] | None] | None = None,
    ) -> bool: ...


def lines_of(svg: str) -> list[str]:
    """The text of a picture, a line per line of the terminal."""
    found: dict[str, list[str]] = {}
    for line, text in re.findall(r'<text [^>]*url\(#terminal-(?:\d+-)?line-(\d+)\)">([^<]*)', svg):
        found.setdefault(line, []).append(html.unescape(text).replace("\xa0", " ").rstrip("\n"))
    return ["".join(texts) for texts in found.values()]


@pytest.fixture
def snap_compare(
    snap_compare: SnapCompare, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> SnapCompare:
    """Compare once the screen stands still, which a cursor that blinks never does; print the lines that differ."""
    monkeypatch.setattr(Input.cursor_blink, "_default", False)

    def compare(
        app: str | PurePath | App[Any],
        press: Iterable[str] = (),
        terminal_size: tuple[int, int] = (80, 24),
        run_before: Callable[[Pilot[None]], Awaitable[None] | None] | None = None,
    ) -> bool:
        async def before(pilot: Pilot[None]) -> None:
            if run_before is not None and (awaited := run_before(pilot)) is not None:
                await awaited
            await stands_still(pilot)

        same = snap_compare(app, press, terminal_size, before)
        if not same:
            _, kept, found, *_ = pickle.loads(node_to_report_path(request.node).read_bytes())
            print(*difflib.unified_diff(lines_of(kept), lines_of(found), "kept", "found", lineterm="", n=0), sep="\n")
        return same

    return compare


async def stands_still(pilot: Pilot[None]) -> None:
    """Wait until three looks in a row find the same text."""
    seen: list[str] = []
    for _ in range(200):
        await pilot.pause(0.02)
        text = text_of(pilot.app)
        seen = [*seen, text] if seen[-1:] == [text] else [text]
        if len(seen) == 3:
            return
    raise AssertionError(f"the screen does not come to rest:\n{seen[-1]}")


@pytest.fixture
def themed_app() -> MakeThemedApp:
    """Make an app of widgets: `themed_app(widget, ...)`."""

    def make(*widgets: Widget) -> ThemedApp:
        return ThemedApp(widgets)

    return make


@pytest.fixture(params=NASTY, ids=[f"nasty{number}" for number in range(len(NASTY))])
def nasty(request: pytest.FixtureRequest) -> str:
    """A string that does harm when it is taken for anything but text."""
    return str(request.param)


CLOCK = 1_785_585_641.0  # 2026-08-01T12:00:41Z


def at(second: float) -> str:
    """A time of the fixed day, in the file's form."""
    return datetime.fromtimestamp(CLOCK - 41 + second, UTC).isoformat(timespec="microseconds")


def make_rows(count: int = 12) -> list[AttemptRow]:
    """Attempts in every status, as a run in full swing has them."""
    rows = []
    for number in range(1, count + 1):
        base = AttemptRow(
            number, 12, number, 1, f"seattle-2012-{number:02}", Status.QUEUED, queued_at=at(0), params='{"month": 5}'
        )
        match number % 12:
            case 1 | 2:
                row = base._replace(
                    status=Status.RUNNING,
                    progress=0.62 / number,
                    step=62.0,
                    total=100.0,
                    message="transformed 31 rows",
                    started_at=at(37),
                    worker="worker-2",
                )
            case 3:
                row = base._replace(status=Status.CANCELLING, progress=0.31, message="stopping", started_at=at(31))
            case 4:
                row = base._replace(status=Status.RETRYING, attempt=2, due_at=at(79), id=1000 + number)
            case 5:
                row = base._replace(
                    status=Status.ERROR,
                    progress=0.31,
                    message="KeyError: 'temp_max'",
                    error_type="KeyError",
                    error="Traceback (most recent call last):\n  File \"weather.py\", line 41, in load\n    row['temp_max']\nKeyError: 'temp_max'\n",
                    started_at=at(30),
                    finished_at=at(31),
                    duration_s=1.0,
                )
            case 6:
                row = base._replace(status=Status.CANCELLED, message="cancelled before it started", finished_at=at(20))
            case 7:
                row = base._replace(status=Status.RUNNING, step=1234.0, message="no total known", started_at=at(20))
            case 8 | 9:
                row = base._replace(
                    status=Status.DONE,
                    progress=1.0,
                    message="31 rows loaded",
                    started_at=at(1),
                    finished_at=at(5),
                    duration_s=3.8,
                    result='{"rows": 31}',
                )
            case _:
                row = base
        rows.append(row)
    return rows


RUN = RunRow(12, "weather", RunStatus.RUNNING, at(0), workers=4, executor="thread")


class Cockpit:
    """The app over a synthetic run: batches are handed to its sink, no engine is started, no clock moves."""

    def __init__(self, folder: Path, *, pipeline: Pipeline | None = None, settings: Settings | None = None) -> None:
        made = pipeline or Pipeline("weather", [], print, retry=RetryPolicy(retries=2))
        self.engine = Engine(folder / "etl.db", made)
        self.monotonic = 1000.0
        self.app = PipeloomApp(
            folder / "etl.db",
            self.engine,
            settings=settings,
            start=False,
            clock=lambda: CLOCK,
            monotonic=lambda: self.monotonic,
        )
        self.seq = 0

    @property
    def live(self) -> LiveScreen:
        assert isinstance(self.app.screen, LiveScreen)
        return self.app.screen

    def commit(self, rows: list[AttemptRow], run: RunRow | None = None) -> None:
        self.seq += 1
        self.app.feed.sink.committed(CommitBatch(self.seq, tuple(rows), run, len(rows)))

    async def settle(self, pilot: Pilot[None]) -> None:
        """Let the app take over what was committed, and then a second pass: rates are the same whenever it ticks."""
        self.app.feed.fetch()
        await pilot.pause()
        self.monotonic += 1
        self.app.feed.fetch()
        await pilot.pause()


@pytest.fixture
def cockpit(tmp_path: Path) -> Cockpit:
    """A cockpit that shows nothing yet."""
    return Cockpit(tmp_path)


@dataclass(frozen=True)
class Synthetic:
    """The synthetic run and its rows."""

    run: RunRow
    clock: float

    def rows(self, count: int = 12) -> list[AttemptRow]:
        return make_rows(count)

    def at(self, second: float) -> str:
        return at(second)


@pytest.fixture
def synthetic() -> Synthetic:
    """The synthetic run and its rows: `synthetic.rows(count)`, `synthetic.run`, `synthetic.at(second)`."""
    return Synthetic(RUN, CLOCK)
