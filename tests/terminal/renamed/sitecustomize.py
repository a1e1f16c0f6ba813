"""Gives private names of Textual and asyncio other names, as a new version may: `RENAMED` holds them, with spaces."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType

NAMES = os.environ.get("RENAMED", "").split()
PATTERN = re.compile(rf"\b({'|'.join(NAMES)})\b")


class RenamingLoader(SourceFileLoader):
    """Compiles a module with the names replaced."""

    def get_code(self, fullname: str) -> CodeType | None:
        source = self.get_data(self.path).decode()
        if not PATTERN.search(source):
            return super().get_code(fullname)
        return compile(PATTERN.sub(r"\1_renamed", source), self.path, "exec", dont_inherit=True)


class RenamingFinder(PathFinder):
    """Finds the modules of Textual and asyncio for that loader."""

    @classmethod
    def find_spec(
        cls, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] not in ("textual", "asyncio"):
            return None
        spec = super().find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = RenamingLoader(spec.loader.name, spec.loader.path)
        return spec


if NAMES:
    sys.meta_path.insert(0, RenamingFinder)
