"""What was acknowledged survives kill -9."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def kill_cycles() -> Any:
    """The script beside this file."""
    spec = importlib.util.spec_from_file_location("kill_cycles", Path(__file__).with_name("kill_cycles.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.kill
@pytest.mark.slow
def test_e17_f2_nothing_acknowledged_is_lost_and_nothing_done_is_repeated_when_the_program_is_killed(
    kill_cycles: Any, tmp_path: Path
) -> None:
    report = kill_cycles.run_cycles(20, seed=20, folder=tmp_path)
    assert report.faults == []
    assert report.killed > 5
    assert report.acknowledged > 200
