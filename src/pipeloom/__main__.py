"""`python -m pipeloom` is `pipeloom`."""

from __future__ import annotations

from pipeloom.cli import run_main

run_main()
