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


SCREENS = frozenset({"textual", "rich", "asyncio", "pipeloom.tui", "pipeloom.api"})
RUNS = frozenset(
    {
        "pipeloom.pipeline",
        "pipeloom.messages",
        "pipeloom.tables.table",
        "pipeloom.engine.run",
        "pipeloom.engine.control",
    }
)
"""What only a run needs, and who asks one."""
HEAVY = frozenset(
    {
        "distributed",
        "email",
        "hashlib",
        "importlib.metadata",
        "multiprocessing",
        "packaging",
        "psutil",
        "socket",
        "tomlkit",
    }
)
"""What takes longer to import than a command has to do."""
NOT_IMPORTED = {
    "--version": SCREENS | RUNS | HEAVY | {"typer", "sqlite3", "pipeloom.filters", "re"},
    "--help": SCREENS | RUNS | HEAVY | {"sqlite3", "pipeloom.filters"},
    "status etl.db": SCREENS | RUNS | HEAVY,
    "status etl.db --json": SCREENS | RUNS | HEAVY,
    "runs etl.db": SCREENS | RUNS | HEAVY,
    "show etl.db": SCREENS | RUNS | HEAVY,
    "show etl.db 1": SCREENS | HEAVY - {"hashlib"},
    "export etl.db out.csv": SCREENS | RUNS | HEAVY,
    "state etl.db": SCREENS | HEAVY,
    "run etl.db pipeline.py": frozenset({"textual", "asyncio", "pipeloom.tui", "rich.progress"}) | HEAVY - {"hashlib"},
}
"""A command line to the modules that it gets by without: so it starts as quickly as it can."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a pipeline of a task, and a file in which that has run."""
    path = tmp_path_factory.mktemp("commands")
    (path / "pipeline.py").write_text(
        "from pipeloom import Pipeline, TaskDef\npipeline = Pipeline('one', [TaskDef('a')], lambda task, q: None)\n",
        encoding="utf-8",
    )
    loaded_by("run etl.db pipeline.py", path)
    return path


def loaded_by(line: str, folder: Path) -> set[str]:
    """Return the modules that a fresh process has loaded once a command has ended there."""
    code = (
        "import atexit, sys\n"
        "atexit.register(lambda: open('loaded', 'w').write(' '.join(sys.modules)))\n"
        f"sys.argv = ['pipeloom', *{line.split()}]\nfrom pipeloom.cli import run_main\nrun_main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return set((folder / "loaded").read_text(encoding="utf-8").split())


@pytest.mark.parametrize("line", NOT_IMPORTED)
def test_a_command_imports_what_it_needs_alone(line: str, folder: Path) -> None:
    assert not NOT_IMPORTED[line] & loaded_by(line, folder)


def test_the_cockpit_imports_what_its_first_frame_needs_alone() -> None:
    code = "import pipeloom.cli.cockpit, pipeloom.tui.app, pipeloom.tui.terminal, sys"
    code += "\nassert not {'tomlkit', 'psutil', 'packaging', 'importlib.metadata', 'textual_plotext'} & {*sys.modules}"
    assert not {"distributed", "plotext", "pydantic", "yarl"} & loaded_after(code)


def test_a_headless_run_loads_no_textual() -> None:
    assert "textual" not in loaded_after("import pipeloom.cli.main, pipeloom.cli.cockpit, pipeloom.api")


@pytest.mark.parametrize("program", ["run_main", "tui_main"])
def test_help_loads_no_textual(program: str) -> None:
    call = f"sys.argv[1:] = ['--help']\ntry: {program}()\nexcept SystemExit: pass"
    loaded = loaded_after(f"import sys\nfrom pipeloom.cli import {program}\n{call}")
    assert "typer" in loaded
    assert "textual" not in loaded
