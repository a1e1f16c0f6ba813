"""Short runs of the thorough checks: killing, fuzzing, counting what reaches the disk."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from tests.faults.conftest import LoadScript


@pytest.mark.kill
@pytest.mark.slow
def test_nothing_acknowledged_is_lost_and_nothing_done_is_repeated_when_the_program_is_killed(
    script: LoadScript, tmp_path: Path
) -> None:
    report = script("kill_cycles").run_cycles(20, seed=20, folder=tmp_path)
    assert report.faults == []
    assert report.cycles == 20
    assert report.killed > 5
    assert report.acknowledged > 10 * report.killed  # kills hit runs at work, however slow the machine is


@pytest.mark.kill
@pytest.mark.slow
def test_limits_hold_over_kills(script: LoadScript, tmp_path: Path) -> None:
    report = script("limits").run(4.0, executor="thread", load=0, seed=1, folder=tmp_path)
    assert report.faults == []
    assert report.kills >= 1
    assert report.starts > 50


@pytest.mark.slow
def test_messages_of_any_kind_harm_only_their_own_attempt(script: LoadScript, tmp_path: Path) -> None:
    report = script("fuzz_channel").Fuzz(20_000, seed=2).run(tmp_path / "fuzz.db")
    assert report.faults == []
    assert sum(sent.total() for sent in report.sent.values()) == 20_000


@pytest.mark.slow
def test_a_reader_never_sees_a_part_of_an_atomic_task(script: LoadScript, tmp_path: Path) -> None:
    report = script("atomic").read_beside(60, tmp_path)
    assert report.faults == []
    assert report.looks > 0


def can_trace() -> bool:
    """Whether strace is here and allowed to look."""
    strace = shutil.which("strace")
    return strace is not None and not subprocess.run([strace, "-o", "/dev/null", "true"], check=False).returncode


@pytest.mark.slow
@pytest.mark.skipif(not can_trace(), reason="needs strace")
def test_full_means_that_each_commit_reaches_the_disk(script: LoadScript, tmp_path: Path) -> None:
    fsyncs = script("fsyncs")
    full, normal = fsyncs.count("full", tmp_path / "full"), fsyncs.count("normal", tmp_path / "normal")
    assert full.commits > 20
    assert full.syncs >= full.commits
    assert normal.syncs < normal.commits
