"""The row of a run, as it is when the run begins."""

from __future__ import annotations

import os
import socket
from typing import Final

from pipeloom.engine.changes.plan import Plan
from pipeloom.engine.clock import SYSTEM_CLOCK
from pipeloom.engine.events import KEPT_TEXT
from pipeloom.engine.options import EngineOptions
from pipeloom.engine.run.run import Run
from pipeloom.parameters import Texts, kept
from pipeloom.status import RunStatus
from pipeloom.store.rows import RunRow
from pipeloom.text import storable
from pipeloom.times import stamp

_PROCESS_STARTED_AT: Final = stamp(SYSTEM_CLOCK.now())


def run_row(run: Run, plan: Plan, options: EngineOptions, params: Texts) -> RunRow:
    """Return the row, with the id 0, of a run of this process."""
    return RunRow(
        id=0,
        pipeline=run.pipeline.name,
        status=RunStatus.RUNNING,
        started_at=run.time.started_at,
        source=None if options.source is None else storable(options.source, KEPT_TEXT),
        workers=run.workers,
        executor=run.executor.name,
        parent_run_id=None if plan.earlier is None else plan.earlier.run.id,
        host=socket.gethostname(),
        pid=os.getpid(),
        process_started_at=_PROCESS_STARTED_AT,
        heartbeat_at=run.time.started_at,
        params=kept({**options.few.texts, **params}),
        unchanged=run.changes.unchanged,
    )
