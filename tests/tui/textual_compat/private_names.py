"""Finds where a module of ours names what is private to Textual, overriding included."""

from __future__ import annotations

import ast
import importlib
import inspect
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Final

import pipeloom

SOURCE: Final = Path(pipeloom.__file__).parent
_NAMED_TUPLE: Final = {"_replace", "_asdict", "_fields", "_make", "_field_defaults"}
_ASK: Final = {"getattr", "setattr", "hasattr", "delattr"}


@dataclass(frozen=True)
class Use:
    """A private name of Textual in a line of ours."""

    line: int
    name: str


def files() -> list[Path]:
    """Return the modules that import Textual, or stand beside some that do."""
    texts = {path: path.read_text(encoding="utf-8") for path in sorted(SOURCE.rglob("*.py"))}
    return [path for path, text in texts.items() if "textual" in text or "tui" in path.relative_to(SOURCE).parts]


def private_names(path: Path, module: str | None = None) -> list[Use]:
    """Return every use of a private name of Textual in a module."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if module is None:
        module = ".".join(("pipeloom", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__")
    found = {use for node in ast.walk(tree) for use in (*_imported(node), *_of_others(node))}
    if not module.endswith("__main__"):
        loaded = importlib.import_module(module)
        found |= {use for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for use in _own(node, loaded)}
    return sorted(found, key=lambda use: (use.line, use.name))


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in _NAMED_TUPLE


def _imported(node: ast.AST) -> Iterator[Use]:
    match node:
        case ast.ImportFrom(module=str(module), names=names) if module.split(".")[0] == "textual":
            words = [*module.split("."), *(name.name for name in names)]
        case ast.Import(names=names):
            words = [word for name in names if name.name.startswith("textual.") for word in name.name.split(".")]
        case _:
            words = []
    yield from (Use(getattr(node, "lineno", 0), word) for word in words if _is_private(word))


def _of_others(node: ast.AST) -> Iterator[Use]:
    """Yield private names of an object that is not `self`, or that is asked by a string."""
    match node:
        case ast.Attribute(value=ast.Name(id="self" | "cls" | "os")):
            return
        case ast.Attribute(attr=name):
            pass
        case ast.Call(func=ast.Name(id=function), args=[_, ast.Constant(value=str(name)), *_]) if function in _ASK:
            pass
        case _:
            return
    if _is_private(name) and name in _all_private():
        yield Use(getattr(node, "lineno", 0), name)


def _own(node: ast.ClassDef, module: ModuleType) -> Iterator[Use]:
    """Yield private names of its Textual bases that a class uses, sets or overrides."""
    theirs = {name for base in _bases(node, module) for name in _names_of(base)}
    for inner in ast.walk(node):
        match inner:
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name):
                pass
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                pass
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                pass
            case _:
                continue
        if _is_private(name) and name in theirs:
            yield Use(inner.lineno, name)


def _bases(node: ast.ClassDef, module: ModuleType) -> Iterator[type]:
    for candidate in _classes(module, module.__name__):
        if candidate.__name__ == node.name:
            yield from (base for base in candidate.__mro__ if base.__module__.split(".")[0] == "textual")


def _classes(owner: object, module: str) -> Iterator[type]:
    for value in vars(owner).values():
        if isinstance(value, type) and value.__module__ == module:
            yield value
            yield from _classes(value, module)


@cache
def _names_of(base: type) -> frozenset[str]:
    """Return the private names that a class of Textual defines, or sets on its objects."""
    names = {*vars(base), *getattr(base, "__annotations__", {})}
    for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(base)))):
        match node:
            case ast.Attribute(value=ast.Name(id="self"), attr=name, ctx=ast.Store()):
                names.add(name)
    return frozenset(filter(_is_private, names))


@cache
def _all_private() -> frozenset[str]:
    """Return the private names of the classes of Textual that objects of ours come from."""
    modules = [importlib.import_module(f"textual.{name}") for name in _LOOKED_AT]
    return frozenset(name for module in modules for cls in _classes(module, module.__name__) for name in _names_of(cls))


_LOOKED_AT: Final = (
    "app", "screen", "widget", "dom", "message_pump", "message", "events", "driver", "_compositor", "scroll_view",
    "scrollbar", "strip", "timer", "worker", "reactive", "binding", "signal", "suggester", "visual", "content",
)  # fmt: skip
