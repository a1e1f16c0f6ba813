"""A pipeline that a screen loads by a path that was kept."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from pipeloom.tui.session.engine_session import EngineSession


async def test_a_file_that_needs_what_is_not_here_is_not_imported(tmp_path: Path) -> None:
    job = tmp_path / "job.py"
    job.write_text("# /// script\n# dependencies = ['not-to-be-found-0']\n# ///\nopen(__file__ + '.imported', 'w')\n")
    told: list[str] = []
    host: Any = SimpleNamespace(tell=lambda sentence, problem=False: told.extend([sentence] * problem))
    session = EngineSession(host, tmp_path / "etl.db", cast("Any", None), None)
    assert await session.load(str(job)) is None
    assert [sentence.partition("job.py")[2] for sentence in told] == [
        " needs not-to-be-found-0, which is not installed here. Leave, and name the file on the command line."
    ]
    assert not job.with_name("job.py.imported").exists()
