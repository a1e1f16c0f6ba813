"""`pipeloom plan`: which tasks a run would run and why, without running any."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Annotated, Final

import typer

from pipeloom.cli.options.run import PIPELINE_HELP, RunOptions, takes_run_options
from pipeloom.cli.options.shared import Json
from pipeloom.cli.output import output, write, write_json
from pipeloom.cli.plan.told import plan_json, plan_lines
from pipeloom.cli.run import engine_options, enter_environment, imported
from pipeloom.console.streams import prints_to_stderr
from pipeloom.engine.changes.plan import plan_run
from pipeloom.engine.run.resume import list_today
from pipeloom.errors import UsageError
from pipeloom.store.file.kind import READABLE, FileKind, file_kind, why_unreadable
from pipeloom.times import utc_now

_TAKEN: Final = frozenset({"resume", "changed", "params", "other_params", "only", "first", "yes"})
_PLANNED: Final = READABLE | {FileKind.MISSING, FileKind.EMPTY, FileKind.FOREIGN}


@takes_run_options(without={field.name for field in fields(RunOptions)} - _TAKEN)
def plan_command(
    db: Annotated[Path, typer.Argument(metavar="DB", help="The SQLite file; only read, and it need not be there.")],
    pipeline: Annotated[str, typer.Argument(metavar="PIPELINE", help=PIPELINE_HELP)],
    options: RunOptions,
    json: Json = False,
) -> None:
    """Show which tasks `pipeloom run` would run with these options, and why, and how many it would not. Runs nothing.

    DB is only read, also beside a run. Times are local.

    Exit codes: 0 fine; 2 the command line or the file; 4 the output could not be written.
    """
    db = db.absolute()
    if (kind := file_kind(db)) not in _PLANNED:
        raise UsageError(why_unreadable(db, kind, "pipeloom plan"))
    enter_environment([pipeline], "pipeloom", yes=options.yes)
    asked = engine_options(options, None)
    with prints_to_stderr():
        made = imported(pipeline)
        today = list_today(db, made, asked.resume, asked.params)
        asked.checked_choice(made, today.tasks)
        plan = plan_run(db, made, today, asked, asked.resume, utc_now())
    with output():
        if json:
            write_json(plan_json(db, made, today, plan))
        else:
            write(plan_lines(made, today, plan))
