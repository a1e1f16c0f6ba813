"""`--log-level` in the cockpit: what is logged goes to its log, and not over the screen."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.terminal.conftest import Start, Write

pytestmark = pytest.mark.pty


def test_the_log_of_the_cockpit_has_what_is_logged(start: Start, write: Write, tmp_path: Path) -> None:
    write(
        "job.py",
        "import logging\n"
        "def work(task, q):\n    logging.getLogger('mine').info('so it goes')\n"
        "pipeline = Pipeline('job', [TaskDef(1, 'one')], work)\n",
    )
    terminal = start("etl.db", "job.py", "--log-level", "info")
    terminal.wait_for("1 done")
    assert "so it goes" not in terminal.text
    terminal.press("q")
    assert terminal.end() == 0
    (log,) = (tmp_path / "state").rglob("tui.log")
    assert "so it goes" in log.read_text(encoding="utf-8")
