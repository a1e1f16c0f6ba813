"""Runs one task in a test: see `docs/testing.md`."""

from pipeloom.testing.run import run_task
from pipeloom.testing.task_run import TaskFailedError, TaskRun

__all__ = ["TaskFailedError", "TaskRun", "run_task"]
