"""`pipeloom run`: runs a pipeline to its end without a screen; and what every command shares that runs one."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn, TextIO, TypeVar

import typer

from pipeloom.api import Reporter, reporter_for, run_headless
from pipeloom.cli.common import (
    LEFT_EARLY,
    STOPPED_GRACE_S,
    StopSignals,
    is_quiet,
    let_signals_end,
    limit_the_end,
    note,
    tell,
)
from pipeloom.cli.options.run import PIPELINE_HELP, HangupChoice, RunOptions, takes_run_options
from pipeloom.cli.options.shared import parsed
from pipeloom.cli.schedule.loaded import LoadedPipelines
from pipeloom.cli.schedule.loop import again_and_again
from pipeloom.cli.schedule.options import AtOption, EveryOption, WatchOption
from pipeloom.console.lines import LineReporter, json_lines, json_summary, no_lines
from pipeloom.console.passing_line import PassingLine
from pipeloom.console.streams import take_stdout
from pipeloom.console.summary import summary_lines
from pipeloom.engine.engine import Engine
from pipeloom.engine.executors.children import of_program
from pipeloom.engine.interpreter import restore_hooks
from pipeloom.engine.options import EngineOptions
from pipeloom.engine.run.few import Few
from pipeloom.engine.run.resume import Resume
from pipeloom.engine.signals import take
from pipeloom.environment.script import scripts_of
from pipeloom.errors import PipeloomError, UsageError
from pipeloom.loader import file_named, load_pipeline
from pipeloom.parameters.texts import typed
from pipeloom.pipeline import Pipeline, parameters
from pipeloom.schedule.made import made as made_schedule
from pipeloom.schedule.schedules import Schedule
from pipeloom.settings.notify import on_failure
from pipeloom.status import Exit
from pipeloom.store.file.owner import is_owned, owner_name
from pipeloom.text import clean, counted, first_line
from pipeloom.times import monotonic, read_duration
from pipeloom.user_state import remember_pipeline
from pipeloom.users_code import called_function

T = TypeVar("T")

_LOOK_S: Final = 0.2
"""Seconds between looks at a file that another process uses."""


@takes_run_options()
def run_command(
    db: Annotated[Path, typer.Argument(metavar="DB", help="The SQLite file; created when it is missing.")],
    pipeline: Annotated[list[str], typer.Argument(metavar="PIPELINE", help=PIPELINE_HELP)],
    options: RunOptions,
    wait: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Wait so long for a file that is in use: 10m, 90s.", show_default=False),
    ] = None,
    strict_rows: Annotated[
        bool, typer.Option("--strict-rows", help="Exit with 7 when a task has not written its usual number of rows.")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Write one JSON object a line to stdout for each change.")
    ] = False,
    every: EveryOption = None,
    at: AtOption = None,
    watch: WatchOption = None,
) -> None:
    """Run PIPELINE and write every attempt to DB.

    Several pipelines run in turn, each when all tasks of the one before are done. Shows progress bars on a terminal and
    plain lines elsewhere.

    With --every, --at or --watch it runs again and again, one run at a time, until a signal comes: exit code 0 between
    two runs. A run that fails ends nothing, and --json writes one object for each run.

    Exit codes: 0 all tasks done; 1 some failed; 2 it could not start; 3 tasks were cancelled; 4 something could not be
    saved; 6 another process uses DB; 7 all done, with an odd number of rows (--strict-rows); 128 + n ended by signal n.
    """
    wait_s = _seconds(wait)
    enter_environment(pipeline, "pipeloom", yes=options.yes)
    data = take_stdout() if json else None  # before the file is imported: it may print
    # The files may go to another folder, as many scripts do first.
    db, sources = db.absolute(), [source_of(spec) for spec in pipeline]
    schedule = made_schedule(db, every, at, watch)
    loaded = LoadedPipelines([imported(spec) for spec in pipeline])

    def chosen(place: int) -> EngineOptions:
        asked = engine_options(options, sources[place])
        return replace(asked, params=_shared_params(loaded.now, asked.params)[place])

    def engine(place: int) -> Engine:
        left_s = _await_file(db, wait_s)
        return engine_for(db, loaded.now[place], replace(chosen(place), wait_s=left_s))

    makers = [partial(engine, place) for place in range(len(sources))]
    _shared_params(loaded.now, engine_options(options, None).params)  # before the first of several runs
    if schedule is not None:
        for place, one in enumerate(loaded.now):  # what cannot be run at all is told now, not at night
            Engine(db, one, chosen(place)).check()
        run_scheduled(schedule, loaded, makers, options.on_hangup, data)
    run_engines(makers, options.on_hangup, data, strict_rows=strict_rows)


def _seconds(text: str | None) -> float:
    if text is None:
        return 0.0
    seconds = read_duration(text)
    if seconds is None:
        raise UsageError(f"--wait needs a time such as 90s, 10m or 1h30m, not {text!r}.")
    return seconds


def _await_file(db: Path, wait_s: float) -> float:
    """Wait while another process uses the file, which a line tells; return the seconds that are left of `wait_s`."""
    deadline = monotonic() + wait_s
    if wait_s and is_owned(db):
        note(f"Waiting for {db}, in use by {owner_name(db)}.")
        while monotonic() < deadline and is_owned(db):
            time.sleep(_LOOK_S)
    return max(0.0, deadline - monotonic())


def _shared_params(pipelines: Sequence[Pipeline], given: Mapping[str, object]) -> list[Mapping[str, object]]:
    """Return the parameters for each pipeline; raises `UsageError` for one that none of several has."""
    if len(pipelines) == 1:
        return [given]
    there = [parameters(pipeline) for pipeline in pipelines]
    if unknown := [name for name in given if not any(name in one for one in there)]:
        names = ", ".join(sorted({name for one in there for name in one})) or "none"
        raise UsageError(f"No pipeline has a parameter {unknown[0]!r}: they have {names}.")
    return [{name: value for name, value in given.items() if name in one} for one in there]


def run_engine(engine: Engine, on_hangup: HangupChoice, json: TextIO | None = None) -> None:
    """Run an engine to its end, tell the summary, and leave with the run's exit code.

    With `json` the run is written there as lines of JSON.
    """
    run_engines([lambda: engine], on_hangup, json)


def run_engines(
    makers: Sequence[Callable[[], Engine]],
    on_hangup: HangupChoice,
    json: TextIO | None = None,
    *,
    strict_rows: bool = False,
) -> None:
    """Make and run engines in turn until one does not end well, and leave with its exit code; see `run_engine`.

    With `strict_rows`, a run with odd rows does not end well.
    """
    first = makers[0]()
    signals = StopSignals(hangup_stops=on_hangup is HangupChoice.STOP)
    code = run_in_turn([lambda: first, *makers[1:]], signals, json, strict_rows=strict_rows)
    let_signals_end()  # from here on they end the program; those of before have been received
    grace_s = first.options.grace_s
    if signals.first is None:
        leave(code, grace_s)
    leave(128 + signals.first, min(grace_s, STOPPED_GRACE_S))


def run_scheduled(
    schedule: Schedule,
    loaded: LoadedPipelines,
    makers: Sequence[Callable[[], Engine]],
    on_hangup: HangupChoice,
    json: TextIO | None = None,
) -> NoReturn:
    """Make and run engines in turn whenever the schedule says so, and leave with the code of `again_and_again`.

    The engines are those of the `loaded` pipelines, which are loaded again once their files have changed. With `json`
    each run is an object there.
    """
    signals = StopSignals(hangup_stops=on_hangup is HangupChoice.STOP)

    def turn() -> int:
        signals.stop(loaded.renew)
        return run_in_turn(makers, signals, json, only_summary=True)

    code = again_and_again(schedule, signals, turn)
    schedule.close()
    leave(code, STOPPED_GRACE_S)


def run_in_turn(
    makers: Sequence[Callable[[], Engine]],
    signals: StopSignals,
    json: TextIO | None = None,
    *,
    strict_rows: bool = False,
    only_summary: bool = False,
) -> int:
    """Make and run engines in turn until one does not end well; return its exit code.

    With `only_summary` the JSON has one object for each run. Raises what making or starting one raises.
    """
    code: int = Exit.DONE
    for place, make in enumerate(makers):
        engine = signals.stop(make)
        if engine is None:
            if not place:
                tell(LEFT_EARLY)
            break
        code = _run_to_end(engine, signals, json, strict_rows=strict_rows, only_summary=only_summary)
        if code != Exit.DONE and (left := len(makers) - place - 1):
            tell(f"{clean(engine.pipeline.name, 60)} did not end well: {counted(left, 'pipeline')} not run.")
            break
    return code


def _run_to_end(
    engine: Engine, signals: StopSignals, json: TextIO | None, *, strict_rows: bool, only_summary: bool
) -> int:
    """Run an engine and tell the summary; return the exit code."""
    reporter: Reporter | None = None

    def run() -> None:
        nonlocal reporter
        reporter = _reporter(engine, json, only_summary=only_summary)
        run_headless(engine, reporter, signals.check)

    signals.stop(run)
    stopped = signals.first
    if stopped is not None and not engine.is_started:
        tell(LEFT_EARLY)
    code = _exit_code(engine, reporter, stopped, json=json is not None)
    code = Exit.ODD if code == Exit.DONE and strict_rows and engine.summary().odd else code
    if is_quiet() and json is None and code != Exit.DONE and engine.is_started:
        for line in summary_lines(engine.summary()):
            tell(line.plain)
    return code


def _exit_code(engine: Engine, reporter: Reporter | None, stopped: int | None, *, json: bool) -> int:
    if stopped is not None:
        return 128 + stopped
    if json and isinstance(reporter, LineReporter) and not isinstance(reporter.trouble, BrokenPipeError | None):
        tell(f"The lines could not be written: {reporter.trouble}.")
        return Exit.UNSAVED
    return Exit.UNSAVED if engine.failure is not None else engine.summary().exit_code


def _reporter(engine: Engine, json: TextIO | None, *, only_summary: bool) -> Reporter:
    """Return what shows the run and then its summary, if the run was started."""
    if json is not None:
        lines = no_lines if only_summary else json_lines
        return LineReporter(json, lines, lambda: [json_summary(engine.summary())] if engine.is_started else [])
    if is_quiet():
        return reporter_for(engine, "none")
    return reporter_for(engine, "auto", lambda: summary_lines(engine.summary()) if engine.is_started else [])


def leave(code: int, grace_s: float) -> NoReturn:
    """Leave with `code` when all is saved and told: in `grace_s` at the latest, whatever the user's code has left.

    Python waits at its end for threads that are no daemons, and for functions of `atexit`.
    """
    let_signals_end()  # first: an exception could be dropped below
    if left := of_program():
        tell(f"Left behind: {', '.join(left)}.")
    limit_the_end(code, grace_s)
    raise typer.Exit(code)


def engine_options(options: RunOptions, source: str | None) -> EngineOptions:
    """Return what the options of a command line mean to the engine; `source` is where the pipeline comes from."""
    return EngineOptions(
        workers=options.workers,
        wal=not options.no_wal,
        store_task_status=not options.no_store,
        durability=options.durability.value,
        executor=None if options.executor is None else options.executor.value,
        address=options.address,
        resume=Resume(other_params=options.other_params) if options.resume else None,
        params=typed(options.params or ()),
        few=Few(parsed(options.only), options.first),
        changed=options.changed,
        ask_to_resume=options.resume is None,
        grace_s=options.grace,
        source=source,
    )


def imported(spec: str, *, ascii_only: bool = False) -> Pipeline:
    """Import the pipeline that `spec` stands for, with a line on the terminal if it takes long.

    A second ctrl+c ends the program at once: a file may catch the first, or keep the interpreter in one call of C.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        take(signal.SIGINT, signal.default_int_handler)
    if is_quiet():
        return load_pipeline(spec)
    with PassingLine(f"importing {spec}", ascii_only=ascii_only):
        return load_pipeline(spec)


def enter_environment(
    specs: Sequence[str], program: str, *, yes: bool = False, ask: bool = True, further: Sequence[str] = ()
) -> None:
    """Start the program again where there is what the user's files need; see `environment.enter`.

    `further` is what the command line lacks for that.
    """
    if scripts := scripts_of(file for spec in specs if (file := file_named(spec)) is not None):
        from pipeloom.environment.enter import enter  # few files need it

        enter(scripts, program, [*sys.argv[1:], *further], yes=yes, ask=ask)


def write_parameters(spec: str, formatter: Any) -> None:
    """Write what `-p` gives to the pipeline `spec`, or why that cannot be told; imports it."""
    with formatter.section(f"Parameters of {clean(spec, 200)}"):
        try:
            enter_environment([spec], "pipeloom", ask=False)
            pipeline = imported(spec)
            function, there = pipeline.tasks.function, parameters(pipeline)
        except PipeloomError as error:
            formatter.write(f"  {clean(error, 500)}\n")
            return
        if about := first_line("" if function is None else called_function(function).__doc__ or ""):
            formatter.write(f"  {about}\n")
        if there:
            formatter.write_dl([(f"-p {name}=…", clean(parameter.told, 300)) for name, parameter in there.items()])
        else:
            formatter.write("  It takes none.\n")


def engine_for(db: Path, pipeline: Pipeline, options: EngineOptions) -> Engine:
    """Return the engine of a run on a file that can be written, and remember what this user runs on it."""
    restore_hooks()
    for name in ("stdout", "stderr"):  # the pipeline's file may have removed them, too
        if getattr(sys, name, None) is None:
            setattr(sys, name, getattr(sys, f"__{name}__"))
    engine = Engine(db, pipeline, notifying(options))
    engine.check()
    if options.source is not None:
        remember_pipeline(engine.db_path, options.source)
    return engine


def notifying(options: EngineOptions) -> EngineOptions:
    """Return the options with the user's command for a run that has failed.

    What is wrong with that setting is told: the run of the night does not depend on it.
    """
    try:
        command, wrong = on_failure()
    except UsageError as error:
        tell(str(error))
        return options
    for sentence in wrong:
        tell(f"{sentence}.")
    return replace(options, on_failure=command)


def source_of(spec: str) -> str:
    """Return the pipeline as the run's row keeps it: with an absolute path, so that it can be found again."""
    place, colon, name = spec.rpartition(":")
    path = Path(place if colon and name.isidentifier() else spec)
    try:
        if not path.is_file():
            return spec
    except OSError:  # a name that is too long, for example
        return spec
    return f"{path.resolve()}:{name}" if colon and name.isidentifier() else str(path.resolve())
