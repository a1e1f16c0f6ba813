"""A terminal cockpit for local ETL. The public names; each is imported when it is first used."""

from __future__ import annotations

TYPE_CHECKING = False  # as `typing` has it, whose import takes longer than to show the version
if TYPE_CHECKING:
    from typing import Any

    from pipeloom.api import run_pipeline
    from pipeloom.console.logging import setup_logging
    from pipeloom.engine.run.summary import FailedTask, RunSummary
    from pipeloom.errors import PipeloomError, TaskCancelled
    from pipeloom.limits.limit import Limit
    from pipeloom.limits.retry_after import RetryAfter
    from pipeloom.messages import MsgTaskFinished, MsgTaskLog, MsgTaskProgress, MsgTaskStarted, TaskDef
    from pipeloom.pipeline import Pipeline, RetryPolicy
    from pipeloom.protocols import AsyncChannel, Channel
    from pipeloom.secrets import Secret
    from pipeloom.status import RunStatus, Status

__version__ = "0.2.0"

_HOMES = {
    "AsyncChannel": "pipeloom.protocols",
    "Channel": "pipeloom.protocols",
    "FailedTask": "pipeloom.engine.run.summary",
    "Limit": "pipeloom.limits.limit",
    "MsgTaskFinished": "pipeloom.messages",
    "MsgTaskLog": "pipeloom.messages",
    "MsgTaskProgress": "pipeloom.messages",
    "MsgTaskStarted": "pipeloom.messages",
    "Pipeline": "pipeloom.pipeline",
    "PipeloomError": "pipeloom.errors",
    "RetryAfter": "pipeloom.limits.retry_after",
    "RetryPolicy": "pipeloom.pipeline",
    "RunStatus": "pipeloom.status",
    "RunSummary": "pipeloom.engine.run.summary",
    "Secret": "pipeloom.secrets",
    "Status": "pipeloom.status",
    "TaskCancelled": "pipeloom.errors",
    "TaskDef": "pipeloom.messages",
    "run_pipeline": "pipeloom.api",
    "setup_logging": "pipeloom.console.logging",
}

__all__ = [
    "AsyncChannel",
    "Channel",
    "FailedTask",
    "Limit",
    "MsgTaskFinished",
    "MsgTaskLog",
    "MsgTaskProgress",
    "MsgTaskStarted",
    "Pipeline",
    "PipeloomError",
    "RetryAfter",
    "RetryPolicy",
    "RunStatus",
    "RunSummary",
    "Secret",
    "Status",
    "TaskCancelled",
    "TaskDef",
    "__version__",
    "run_pipeline",
    "setup_logging",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
