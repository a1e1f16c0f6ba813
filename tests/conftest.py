"""What every test shares. The environment is made the same for all before anything imports textual."""

# ruff: noqa: E402 - the environment comes first
from __future__ import annotations

import os

for _name in list(os.environ):
    # The pictures' own variable stays: tests that run in several processes find each other by it.
    if _name == "NO_COLOR" or (_name.startswith("TEXTUAL") and not _name.startswith("TEXTUAL_SNAPSHOT")):
        del os.environ[_name]
for _name in ("COLUMNS", "LINES", "FORCE_COLOR", "PIPELOOM_ASCII"):
    os.environ.pop(_name, None)
os.environ["TERM"] = "xterm-256color"
os.environ["COLORTERM"] = "truecolor"
os.environ["TZ"] = "UTC"  # times are shown in the user's zone

import signal

# Who starts the tests in the background of a shell, or under nohup, has signals ignored, and every process that a test
# starts inherits that.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)

import gc
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest
from hypothesis import HealthCheck, settings

from pipeloom.secrets import masks

time.tzset()

settings.register_profile(
    "pipeloom", deadline=None, derandomize=True, print_blob=False, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("pipeloom")


def pytest_collection_finish() -> None:
    """Spare the garbage collector what lives as long as the tests: it would look through all of it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)


class WaitFor(Protocol):
    """Blocks until `condition()` holds; fails the test when it does not within `timeout` seconds."""

    def __call__(self, condition: Callable[[], object], timeout: float = 60.0) -> None: ...


Zone = Callable[[str], None]
"""Sets the time zone of this process."""


@pytest.fixture
def zone() -> Iterator[Zone]:
    """Return a function that sets this process's time zone; the test's end puts UTC back."""

    def change(name: str) -> None:
        os.environ["TZ"] = name
        time.tzset()

    yield change
    change("UTC")


@pytest.fixture(autouse=True)
def same_import_path() -> Iterator[None]:
    """Put the import path back: loading a pipeline adds its folder, whose modules later tests would find."""
    before = list(sys.path)
    yield
    sys.path[:] = before


@pytest.fixture(autouse=True)
def no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each test begin without a secret: what one test makes would be masked in the texts of all others."""
    monkeypatch.setattr(masks, "_known", masks._Known())


@pytest.fixture
def db_path(tmp_path: Path) -> Path:
    """A database file that does not exist yet."""
    return tmp_path / "etl.db"


@pytest.fixture
def wait_for() -> WaitFor:
    """Wait for what another thread does, without a guess at how long that takes."""

    def wait(condition: Callable[[], object], timeout: float = 60.0) -> None:
        pause = threading.Event()
        for _ in range(int(timeout / 0.005)):
            if condition():
                return
            pause.wait(0.005)
        pytest.fail(f"{getattr(condition, '__name__', condition)} did not become true within {timeout} s")

    return wait


class OwnerProcess:
    """A process that owns `etl.db` in a folder: see `owner.py`."""

    def __init__(self, folder: Path, tasks: int, *options: str) -> None:
        self.folder = folder
        for name in ("started", "closed", "close"):
            (folder / name).unlink(missing_ok=True)
        script = Path(__file__).with_name("owner.py")
        self.process = subprocess.Popen(
            [sys.executable, script, folder, str(tasks), *options], env={**os.environ, "HOME": str(folder)}
        )
        self.pid = self.process.pid
        self._await("started")

    def tell(self, *names: str) -> None:
        """Create files that the owner waits for."""
        for name in names:
            (self.folder / name).touch()

    def close(self) -> None:
        """Let the owner end in good order."""
        self.tell("close")
        self._await("closed")
        self.process.wait(30)

    def kill(self) -> None:
        """End it as a crash does."""
        self.process.kill()
        self.process.wait(30)

    def _await(self, name: str) -> None:
        deadline = time.monotonic() + 30
        while not (self.folder / name).exists():
            assert time.monotonic() < deadline, f"{name} did not come"
            assert self.process.poll() is None, "the owner has died"
            threading.Event().wait(0.005)


class Own(Protocol):
    """Starts an owner of `etl.db`."""

    def __call__(self, tasks: int, *options: str) -> OwnerProcess: ...


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Own]:
    """Return a function that starts an owner of `etl.db`: `own(tasks, *options)`; what is left running is killed."""
    started: list[OwnerProcess] = []

    def start(tasks: int, *options: str) -> OwnerProcess:
        started.append(OwnerProcess(tmp_path, tasks, *options))
        return started[-1]

    yield start
    for one in started:
        one.kill()
