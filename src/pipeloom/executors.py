"""The names to write an executor of your own with: see `docs/executors.md`."""

from __future__ import annotations

from pipeloom.engine.attempt import Attempt, Outcome, OutcomeKind
from pipeloom.engine.executors.base import Capabilities, Executor, Reports, WorkerInfo
from pipeloom.engine.worker.channel import WorkerChannel
from pipeloom.engine.worker.runner import run_worker

__all__ = [
    "Attempt",
    "Capabilities",
    "Executor",
    "Outcome",
    "OutcomeKind",
    "Reports",
    "WorkerChannel",
    "WorkerInfo",
    "run_worker",
]
