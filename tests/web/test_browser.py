"""The cockpit as a page, in a real Chromium: what it shows, what a key does, who gets in.

What the page has received is drawn by pyte, because the page itself draws on a canvas. Without a Chromium these tests fail,
unless PIPELOOM_NO_BROWSER=1 says that there is none.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pyte
import pytest
from playwright.sync_api import Browser, Page, WebSocket, sync_playwright
from tests.conftest import Own, WaitFor

pytestmark = [pytest.mark.browser, pytest.mark.slow]

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WIDTH, HEIGHT = 1000, 600
PIPELINE = """
from pipeloom import Pipeline, TaskDef
def work(task, q):
    while True:
        q.sleep(0.05)
pipeline = Pipeline("endless", [TaskDef(name="one"), TaskDef(name="two")], work)
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        if os.environ.get("PIPELOOM_NO_BROWSER") == "1":
            pytest.skip("PIPELOOM_NO_BROWSER=1: there is no Chromium here")
        pytest.fail("No Chromium: apt-get install chromium, or set PIPELOOM_NO_BROWSER=1 to leave these tests out.")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield chromium
        chromium.close()


class Served:
    """A `pipeloom web` that runs."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        command = [sys.executable, "-m", "pipeloom", "web", "etl.db", "--port", "0", *arguments]
        self.process = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        line = next((line for line in self.process.stderr if "The page is" in line), "")
        self.address = line.split()[4]

    def end(self) -> int:
        """End it as ctrl+c does; return its exit code."""
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=30)
        return self.process.returncode


Serve = Callable[..., Served]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    started: list[Served] = []

    def start(*arguments: str) -> Served:
        started.append(Served(tmp_path, *arguments))
        return started[-1]

    yield start
    for served in started:
        if served.process.poll() is None:
            served.end()


class Tab:
    """A page, and the screen that it has received."""

    def __init__(self, browser: Browser, address: str) -> None:
        self.screen = pyte.Screen(80, 24)
        self._stream = pyte.ByteStream(self.screen)
        self.page: Page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        self.page.on("websocket", self._take)
        self.requests: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(address)

    def _take(self, socket: WebSocket) -> None:
        size = {name: int(number) for name, number in re.findall(r"(width|height)=(\d+)", socket.url)}
        self.screen.resize(size["height"], size["width"])
        socket.on("framereceived", self._draw)

    def _draw(self, payload: str | bytes) -> None:
        if isinstance(payload, bytes):
            self._stream.feed(payload)

    def text(self) -> str:
        return "\n".join(self.screen.display)

    def wait(self, condition: Callable[[str], object]) -> str:
        """Wait until what is shown passes; playwright takes the page's events meanwhile."""
        for _ in range(800):
            if condition(self.text()):
                return self.text()
            self.page.wait_for_timeout(25)
        pytest.fail(f"not shown:\n{self.text()}")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)


def statuses(folder: Path) -> dict[str, str]:
    with closing(sqlite3.connect(folder / "etl.db")) as connection:
        return dict(connection.execute("SELECT name, status FROM task_runs ORDER BY id").fetchall())


def is_shown(*words: str) -> Callable[[str], bool]:
    return lambda text: all(word in text for word in words)


def test_a_page_shows_the_table_a_key_moves_and_a_cancel_is_refused(
    browser: Browser, serve: Serve, own: Own, tmp_path: Path
) -> None:
    owner = own(3)
    served = serve()
    tab = Tab(browser, served.address)
    tab.wait(is_shown("gated-1", "gated-3", "VIEWER", "● running"))
    before = tab.page.screenshot()
    assert len(set(before)) > 100  # a canvas that has drawn something
    assert {url.split("/")[2] for url in tab.requests} == {served.address.split("/")[2]}  # nothing from elsewhere
    tab.press("d")
    tab.wait(is_shown("task 1 ·"))
    tab.press("ArrowDown")
    tab.wait(is_shown("task 2 ·"))
    assert tab.page.screenshot() != before
    tab.press("x")
    tab.wait(is_shown("Nothing is changed here: the file is only read."))
    tab.page.close()
    assert served.end() == 0
    assert statuses(tmp_path) == {"gated-1": "running", "gated-2": "running", "gated-3": "queued"}
    owner.close()


def test_with_control_a_cancel_reaches_the_engine_of_another_process(
    browser: Browser, serve: Serve, own: Own, tmp_path: Path, wait_for: WaitFor
) -> None:
    owner = own(3)
    tab = Tab(browser, serve("--control").address)
    tab.wait(is_shown("gated-1", "CONTROL"))
    tab.press("x")
    tab.wait(is_shown("Cancel this task?"))
    tab.press("y")
    tab.wait(is_shown("■ cancelled"))
    wait_for(lambda: statuses(tmp_path)["gated-1"] == "cancelled")
    assert statuses(tmp_path)["gated-2"] == "running"
    tab.press("2")
    tab.wait(is_shown("attempts", "failures"))
    tab.press("r")  # the page owns no run, and starts none
    tab.press("1")
    tab.wait(is_shown("CONTROL"))
    tab.page.close()
    owner.close()


def test_the_run_belongs_to_the_server_and_outlives_its_pages(
    browser: Browser, serve: Serve, tmp_path: Path, wait_for: WaitFor
) -> None:
    (tmp_path / "endless.py").write_text(PIPELINE)
    served = serve("endless.py", "--workers", "2", "--grace", "1")
    first, second = Tab(browser, served.address), Tab(browser, served.address)
    for tab in (first, second):
        tab.wait(is_shown("one", "two", "VIEWER"))
        tab.page.close()
    wait_for(lambda: statuses(tmp_path) == {"one": "running", "two": "running"})
    busy = [sys.executable, "-m", "pipeloom", "web", "etl.db", "endless.py", "--port", "0"]
    refused = subprocess.run(busy, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (refused.returncode, "The page is" in refused.stderr) == (6, False)
    assert served.end() == 130
    assert set(statuses(tmp_path).values()) == {"interrupted"}


def test_without_the_token_there_is_no_page_and_no_connection(browser: Browser, serve: Serve, own: Own) -> None:
    owner = own(1)
    served = serve("--control")
    page = browser.new_page()
    bare = served.address.partition("?")[0]
    for address in (bare, f"{bare}?token=guessed"):
        answer = page.goto(address)
        assert answer is not None
        assert (answer.status, "has printed" in answer.text()) == (403, True)
    page.goto("about:blank")
    failed = """address => new Promise(resolve => {
        const socket = new WebSocket(address);
        socket.onopen = () => resolve("open");
        socket.onerror = () => resolve("refused");
    })"""
    assert page.evaluate(failed, bare.replace("http", "ws") + "ws?width=80&height=24") == "refused"
    page.close()
    owner.close()
