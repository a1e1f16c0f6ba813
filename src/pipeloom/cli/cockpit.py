"""`pipeloom-tui`: the cockpit."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from pipeloom.cli.command import Plain, new_program
from pipeloom.cli.common import LEFT_EARLY, STOPPED_GRACE_S, is_quiet, limit_the_end, tell
from pipeloom.cli.options.run import HangupChoice, OptionalPipeline, RunOptions, takes_run_options
from pipeloom.cli.options.shared import Version, parsed, with_common_options
from pipeloom.cli.run import (
    engine_for,
    engine_options,
    enter_environment,
    imported,
    leave,
    run_engine,
    run_scheduled,
    source_of,
)
from pipeloom.cli.schedule.loaded import LoadedPipelines
from pipeloom.cli.schedule.options import AtOption, EveryOption, WatchOption
from pipeloom.console import has_terminal
from pipeloom.engine.engine import Engine
from pipeloom.engine.interpreter import no_garbage_collection
from pipeloom.engine.options import EngineOptions
from pipeloom.engine.run.resume import params_of
from pipeloom.errors import UsageError
from pipeloom.home.way_back import WayBack
from pipeloom.parameters.declared import MissingParameterError
from pipeloom.parameters.texts import options_of
from pipeloom.pipeline import Pipeline
from pipeloom.schedule.made import made as made_schedule
from pipeloom.schedule.schedules import Schedule
from pipeloom.status import Exit
from pipeloom.text import as_typed
from pipeloom.user_state import SCREENS, UserRecords, private_folder, user_folder

if TYPE_CHECKING:
    from pipeloom.tui.sharing.place import Place


class ViewChoice(StrEnum):
    """What the history lists."""

    ATTEMPTS = "attempts"
    TASKS = "tasks"
    FAILURES = "failures"


class TabChoice(StrEnum):
    """A tab of the detail."""

    OVERVIEW = "overview"
    ATTEMPTS = "attempts"
    LOG = "log"
    ERROR = "error"
    PARAMS = "params"
    RESULT = "result"
    STATE = "state"


ReadOnly = Annotated[bool, typer.Option("--read-only", help="Only look: change nothing in DB, and never own it.")]

Control = Annotated[
    bool, typer.Option("--control", help="Let the keys act on the run of another process, if one runs on DB.")
]

Ascii = Annotated[bool, typer.Option("--ascii", help="Draw with ASCII characters alone.")]

_LEFT_BY_KEY: Final = frozenset({Exit.DONE, Exit.FAILED, Exit.CANCELLED})
"""Exit codes of a cockpit in which nothing went wrong that the shell has to tell."""
_NAME_ONE: Final = "Name one: pipeloom-tui demo.db --demo"

program = new_program("pipeloom-tui")


@program.command(cls=Plain)
@with_common_options
@takes_run_options()
def cockpit(
    db: Annotated[
        Path | None,
        typer.Argument(metavar="DB", help="The SQLite file; created when it is missing.", show_default=False),
    ] = None,
    pipeline: OptionalPipeline = None,
    *,
    options: RunOptions,
    read_only: ReadOnly = False,
    control: Control = False,
    ascii_only: Ascii = False,
    every: EveryOption = None,
    at: AtOption = None,
    watch: WatchOption = None,
    history: Annotated[bool, typer.Option("--history", help="Open the history, also while a run goes on.")] = False,
    view: Annotated[ViewChoice | None, typer.Option(help="What the history lists.", show_default=False)] = None,
    where: Annotated[
        str | None, typer.Option("--filter", metavar="FILTER", help="Show only what passes.", show_default=False)
    ] = None,
    order: Annotated[
        str | None,
        typer.Option(
            metavar="ORDER", help="Sort by a column of task_runs, as --order=-duration_s.", show_default=False
        ),
    ] = None,
    run: Annotated[
        int | None, typer.Option("--run", metavar="N", min=1, help="Show this run in the history.", show_default=False)
    ] = None,
    attempt: Annotated[
        int | None, typer.Option(metavar="ID", min=1, help="Show the detail of this attempt.", show_default=False)
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Go to this task, or to its last attempt.", show_default=False),
    ] = None,
    tab: Annotated[TabChoice | None, typer.Option(help="The tab of the detail.", show_default=False)] = None,
    report: Annotated[
        str | None,
        typer.Option(
            metavar="REPORT",
            help="Open days, timeline:RUN, log:RUN, task:NAME, runs:RUN,RUN or attempts:ID,ID over the history.",
            show_default=False,
        ),
    ] = None,
    demo: Annotated[bool, typer.Option("--demo", help="Run a packaged demonstration of forty tasks.")] = False,
    version: Version = False,  # noqa: ARG001 - the option acts by itself
) -> None:
    """Run PIPELINE over its tasks, live on the screen, and keep every attempt in DB.

    Without PIPELINE, open the history of everything that ever ran in DB; without DB too, the list of the files that
    you have run or opened. Without a terminal, run PIPELINE as `pipeloom run` does.

    --history, --view, --filter, --order, --run, --attempt, --task, --tab and --report open a file at a place, in
    place of what was remembered for it: the key Y copies the command that returns to what is on the screen.
    """
    if read_only and control:
        raise UsageError("Give either --read-only or --control, not both.")
    shown = {"view": view, "order": order, "run": run, "attempt": attempt, "task": task, "tab": tab, "report": report}
    place = _place(history=history, where=where, **shown)
    if place is not None and (pipeline is not None or demo):
        raise UsageError("A place is one of a file's history: leave the pipeline out, or --history and the like.")
    if read_only and (pipeline is not None or demo):
        raise UsageError("With --read-only nothing is run: leave the pipeline out.")
    db = None if db is None else db.absolute()  # a pipeline's file may go to another folder, as many scripts do first
    way_back = WayBack.noted()
    if db is None and pipeline is None and not demo and has_terminal():
        way_back = WayBack.from_here()
        db, pipeline = _choose_at_home(options.on_hangup, read_only=read_only, ascii_only=ascii_only)
        if pipeline is not None:  # not named on this command line, so that `--yes` is no answer
            with way_back.for_the_next():
                enter_environment([pipeline], "pipeloom-tui", further=[str(db), pipeline])
    elif pipeline is not None and not demo:
        enter_environment([pipeline], "pipeloom-tui", yes=options.yes)
    with no_garbage_collection():
        chosen, source = _chosen(pipeline, demo=demo, ascii_only=ascii_only)
    if chosen is None and (every, at, watch) != (None, None, None):
        raise UsageError("--every, --at and --watch say when a pipeline is run: name one.")
    with _coming_back(way_back):
        if chosen is None:
            _browse(db, options.on_hangup, place, read_only=read_only, control=control, ascii_only=ascii_only)
            return
        if options.workers is None and chosen.workers is None and options.address is None and has_terminal():
            from pipeloom.tui.settings import read_settings

            options = replace(options, workers=read_settings().workers)
        file = _file(db, demo=demo)
        schedule = made_schedule(file, every, at, watch)
        wanted = engine_options(options, source)
        engine = engine_for(file, chosen, wanted) if way_back is None else _engine_again(file, chosen, wanted)
        if has_terminal():
            _show(engine.db_path, engine, options.on_hangup, schedule=schedule, control=control, ascii_only=ascii_only)
        elif schedule is None:
            run_engine(engine, options.on_hangup)
        else:
            loaded = LoadedPipelines([chosen])
            run_scheduled(schedule, loaded, [lambda: engine_for(file, loaded.now[0], wanted)], options.on_hangup)


def _chosen(spec: str | None, *, demo: bool, ascii_only: bool) -> tuple[Pipeline | None, str | None]:
    if demo:
        if spec is not None:
            raise UsageError("Give either a pipeline or --demo, not both.")
        from pipeloom.demo import demo as packaged

        return packaged, "pipeloom.demo:demo"
    if spec is None:
        return None, None
    source = source_of(spec)
    if has_terminal():
        import_module("pipeloom.tui.app")  # first: a file beside the pipeline may be named like a module that it uses
    return imported(spec, ascii_only=ascii_only), source


def _file(db: Path | None, *, demo: bool) -> Path:
    if db is not None:
        return db
    if not demo:
        raise UsageError("Name the database file, for example: pipeloom-tui etl.db pipeline.py")
    from platformdirs import user_state_path

    folder = user_folder(user_state_path)
    if folder is None:
        raise UsageError(f"This user has no home for the file of the demo. {_NAME_ONE}")
    try:
        private_folder(folder)
    except OSError as error:
        raise UsageError(
            f"No file for the demo can be kept in {folder}: {os.strerror(error.errno or 0)}. {_NAME_ONE}"
        ) from error
    return folder / f"demo-{datetime.now().astimezone():%Y%m%d-%H%M%S}.db"


def _browse(
    db: Path | None, on_hangup: HangupChoice, place: Place | None = None, *, read_only: bool, **look: bool
) -> None:
    """Open the history of a file, or the start page when there is none yet."""
    path = _file(db, demo=False)
    if not has_terminal():
        raise UsageError(f"pipeloom-tui needs a terminal. To run without one: pipeloom run {as_typed(path)} PIPELINE")
    from pipeloom.home.known import note_opened
    from pipeloom.store.file.kind import READABLE, FileKind, file_kind, why_unreadable
    from pipeloom.store.maintenance.recovery import recover
    from pipeloom.store.read.history import History
    from pipeloom.store.read.tasks import attempt_of

    if file_kind(path) is not FileKind.MISSING:
        if not read_only:
            recover(path)
        if (kind := file_kind(path)) not in READABLE:
            raise UsageError(why_unreadable(path, kind, "pipeloom-tui"))
        with History(path) as file:
            if place is not None and place.task:
                place = replace(place, attempt=attempt_of(file, place.task, place.run))
        note_opened(path)
    _show(path, None, on_hangup, schedule=None, place=place, read_only=read_only, **look)


def _choose_at_home(on_hangup: HangupChoice, *, read_only: bool, ascii_only: bool) -> tuple[Path, str | None]:
    """Show the user's files; return the one that is opened, and the pipeline if one is to run. Leaves without one."""
    with no_garbage_collection():
        from pipeloom.tui.home.app import HomeApp
        from pipeloom.tui.home.screen import HomeScreen
        from pipeloom.tui.terminal import run_app

    app = HomeApp.of_user(HomeScreen(read_only=read_only), ascii_only=ascii_only)
    code = run_app(app, on_hangup.value)
    if code or app.chosen is None:
        raise typer.Exit(code)
    return app.chosen.path, app.chosen.pipeline


@contextmanager
def _coming_back(way: WayBack | None) -> Iterator[None]:
    """Show the home screen again, from which the user has come, when the cockpit was left by key."""
    try:
        yield
    except typer.Exit as leaving:
        if way is not None and leaving.exit_code in _LEFT_BY_KEY and has_terminal():
            limit_the_end(leaving.exit_code, STOPPED_GRACE_S)
            way.go()
        raise


def _engine_again(file: Path, pipeline: Pipeline, options: EngineOptions) -> Engine:
    """Return the engine of a run from the home screen: with the parameters of the last one, where none can be typed."""
    params = {**params_of(file, pipeline), **options.params}
    try:
        return engine_for(file, pipeline, replace(options, params=params))
    except MissingParameterError as error:
        words = ["pipeloom-tui", as_typed(file), as_typed(options.source), *options_of(params)]
        raise UsageError(error.told_with(" ".join(words))) from None


def _place(*, history: bool, where: str | None, **given: Any) -> Place | None:
    """Return the place that the options name; None for none."""
    if not (history or where or any(value is not None for value in given.values())):
        return None
    parsed(where)
    from pipeloom.tui.sharing.place import Place, check_report

    if given["report"] is not None:
        check_report(given["report"])
        history = True
    if given["attempt"] is not None:
        history, given["tab"] = True, given["tab"] or TabChoice.OVERVIEW
    texts = {name: value for name, value in given.items() if value is not None}
    return Place(history=history, where=where or "", **texts)


def _show(
    path: Path,
    engine: Engine | None,
    on_hangup: HangupChoice,
    *,
    schedule: Schedule | None = None,
    place: Place | None = None,
    **look: bool,
) -> None:
    with no_garbage_collection():
        from pipeloom.console import shared_console
        from pipeloom.console.logging import show_log_behind_screen
        from pipeloom.console.summary import summary_lines
        from pipeloom.tui.app import PipeloomApp
        from pipeloom.tui.style.ascii import in_ascii
        from pipeloom.tui.terminal import run_app

    if told := UserRecords(SCREENS).set_aside():
        tell(told)  # before the screen, and so on the terminal after it
    app = PipeloomApp.of_user(path, engine, schedule=schedule, **look)
    if place is not None and app.memory is not None:
        place.lend_to(app.memory)
    show_log_behind_screen()
    code = run_app(app, on_hangup.value)
    if app.start_error is not None:
        raise app.start_error
    if app.summary is not None and not (is_quiet() and app.summary.exit_code == Exit.DONE):
        with suppress(OSError):  # the terminal may be gone
            for line in summary_lines(app.summary):
                shared_console().print(in_ascii(line) if app.ascii_only else line, soft_wrap=True)
    if app.failure is not None:
        tell(f"Nothing more could be saved: {app.failure}")
        code = code or Exit.UNSAVED
    if app.session.is_starting:
        tell(LEFT_EARLY)
        code = code or Exit.CANCELLED
    code = code or (app.summary.exit_code if app.summary is not None else Exit.DONE)
    if app.engine is not None:
        leave(code, app.engine.options.grace_s)
    raise typer.Exit(code)
