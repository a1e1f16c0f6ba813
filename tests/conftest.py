"""What every test shares. The environment is made the same for all before anything imports textual."""

# ruff: noqa: E402 - the environment comes first
from __future__ import annotations

import os

for _name in [name for name in os.environ if name == "NO_COLOR" or name.startswith("TEXTUAL")]:
    del os.environ[_name]
for _name in ("COLUMNS", "LINES", "FORCE_COLOR", "PIPELOOM_ASCII"):
    os.environ.pop(_name, None)
os.environ["TERM"] = "xterm-256color"
os.environ["COLORTERM"] = "truecolor"

import signal

# Who starts the tests in the background of a shell, or under nohup, has signals ignored, and every process that a test
# starts inherits that.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "pipeloom", deadline=None, derandomize=True, print_blob=False, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("pipeloom")


class WaitFor(Protocol):
    """Blocks until `condition()` holds; fails the test when it does not within `timeout` seconds."""

    def __call__(self, condition: Callable[[], object], timeout: float = 10.0) -> None: ...


@pytest.fixture
def db_path(tmp_path: Path) -> Path:
    """A database file that does not exist yet."""
    return tmp_path / "etl.db"


@pytest.fixture
def wait_for() -> WaitFor:
    """Wait for what another thread does, without a guess at how long that takes."""

    def wait(condition: Callable[[], object], timeout: float = 10.0) -> None:
        pause = threading.Event()
        for _ in range(int(timeout / 0.005)):
            if condition():
                return
            pause.wait(0.005)
        pytest.fail(f"{getattr(condition, '__name__', condition)} did not become true within {timeout} s")

    return wait
