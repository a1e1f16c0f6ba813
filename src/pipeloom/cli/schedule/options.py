"""The options of a schedule, shared by both programs and by `pipeloom unit`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EveryOption = Annotated[
    str | None,
    typer.Option("--every", metavar="TIME", help="Run at once and then every 15m, 1h30m, 1d.", show_default=False),
]
AtOption = Annotated[
    str | None,
    typer.Option(
        "--at", metavar="CRON", help="Run at the local times of a cron expression: '0 2 * * *'.", show_default=False
    ),
]
WatchOption = Annotated[
    Path | None,
    typer.Option(
        "--watch",
        metavar="DIR",
        help="Run at once and then when files in DIR have come or changed.",
        show_default=False,
    ),
]
