"""Hostile workers, several beside the good ones: what they do stays with them. `visit_zoo.py` runs each by itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.faults import visit_zoo, zoo

pytestmark = [pytest.mark.slow, pytest.mark.kill]


def test_the_zoo_is_large_enough() -> None:
    assert len(zoo.ZOO) >= 60


@pytest.mark.parametrize("group", visit_zoo.groups("thread"), ids=lambda group: group[0])
def test_hostile_workers_in_threads_harm_no_other(group: list[str], tmp_path: Path) -> None:
    assert visit_zoo.visit(group, "thread", tmp_path) == []


@pytest.mark.parametrize("group", visit_zoo.groups("process"), ids=lambda group: group[0])
def test_hostile_workers_in_processes_harm_no_other(group: list[str], tmp_path: Path) -> None:
    assert visit_zoo.visit(group, "process", tmp_path) == []
