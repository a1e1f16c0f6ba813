"""Who may know whom."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def loaded_after(code: str) -> set[str]:
    """Return the top-level packages that a fresh process has loaded after `code`."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint(*{{name.split('.')[0] for name in sys.modules}})"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return set(done.stdout.split())


def test_the_layers_point_one_way() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "code",
    [
        "import pipeloom.engine",
        "import pipeloom.engine.engine",
        "import pipeloom.store.read.history",
        "import pipeloom.pipeline, pipeloom.filters, pipeloom.loader, pipeloom.demo",
    ],
)
def test_engine_and_store_load_no_screen(code: str) -> None:
    assert not {"textual", "rich", "typer"} & loaded_after(code)


def test_importing_the_package_loads_next_to_nothing() -> None:
    assert not {"textual", "rich", "typer", "sqlite3"} & loaded_after("import pipeloom")


@pytest.mark.parametrize("words", [["--version"], ["status", "missing.db"]], ids=" ".join)
def test_a_command_loads_what_it_needs_alone(words: list[str]) -> None:
    call = f"sys.argv[1:] = {words}\ntry: program()\nexcept BaseException: pass"
    loaded = loaded_after(
        f"import sys\nfrom pipeloom.cli.common import run\nfrom pipeloom.cli.main import program\n{call}"
    )
    assert "typer" in loaded
    assert not {"textual", "pydantic", "distributed"} & loaded
    assert "sqlite3" not in loaded or "status" in words


def test_a_headless_run_loads_no_textual() -> None:
    assert "textual" not in loaded_after("import pipeloom.cli.main, pipeloom.cli.cockpit, pipeloom.api")


@pytest.mark.parametrize("program", ["run_main", "tui_main"])
def test_help_loads_no_textual(program: str) -> None:
    call = f"sys.argv[1:] = ['--help']\ntry: {program}()\nexcept SystemExit: pass"
    loaded = loaded_after(f"import sys\nfrom pipeloom.cli import {program}\n{call}")
    assert "typer" in loaded
    assert "textual" not in loaded
