"""What is called after the end of a run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from contextlib import suppress
from functools import partial
from tempfile import TemporaryFile
from typing import IO, Final

from pipeloom.engine.hooks.calls import EndCall, HookError
from pipeloom.engine.run.summary import RunSummary
from pipeloom.pipeline import Pipeline
from pipeloom.settings.notify import Command
from pipeloom.status import Exit
from pipeloom.text import clean
from pipeloom.users_code import shown_name

COMMAND_S: Final = 30.0
"""Seconds that the user's command gets."""
_SETTING: Final = "[notify] on_failure"
_LAST: Final = 4_000
"""Bytes of what the command has written that are looked at."""


def end_calls(pipeline: Pipeline, on_failure: Command | None, summary: RunSummary) -> list[EndCall]:
    """Return the pipeline's functions and, for a run that has failed, the user's command."""
    calls = [
        EndCall(shown_name(function), partial(function, summary), timeout_s)
        for function, timeout_s in pipeline.end_hooks
    ]
    if on_failure and summary.exit_code in (Exit.FAILED, Exit.UNSAVED):
        calls.append(EndCall(_SETTING, partial(run_command, on_failure, summary), COMMAND_S * 2))  # ends by itself
    return calls


def run_command(command: Command, summary: RunSummary, timeout_s: float = COMMAND_S) -> None:
    """Run the command with the summary as JSON on its stdin; raises `HookError` when that does not go well.

    After `timeout_s` seconds it is killed, with what it has started.
    """
    # Files, not pipes: neither a command that does not read nor one that leaves a child behind is waited for.
    with TemporaryFile() as given, TemporaryFile() as said:
        given.write(json.dumps(summary.as_dict()).encode() + b"\n")
        given.seek(0)
        by_shell = isinstance(command, str)
        try:
            process = subprocess.Popen(  # noqa: S603 - the user's own line, from the user's own settings
                command if by_shell else list(command),
                shell=by_shell,
                stdin=given,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else None
            raise HookError(f"the command could not be started: {clean(reason or error, 200)}") from error
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise HookError(f"the command did not end within {timeout_s:g} s, and was killed") from error
        if code != 0:
            ended = f"with code {code}" if code > 0 else _by_signal(-code)
            raise HookError(f"the command ended {ended}{_last_line(said)}")


def _last_line(said: IO[bytes]) -> str:
    """Return the last line that the command has written, behind a colon; "" for none."""
    said.seek(max(0, said.seek(0, os.SEEK_END) - _LAST))
    lines = said.read().decode(errors="replace").strip().splitlines()
    return f": {clean(lines[-1], 300)}" if lines else ""


def _by_signal(number: int) -> str:
    try:
        return f"by {signal.Signals(number).name}"
    except ValueError:
        return f"by signal {number}"
