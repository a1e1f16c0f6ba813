"""How the source is cut: no import cycle, small files and folders, few base classes."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "pipeloom"
MAX_LINES = 400
MAX_MODULES = 14
MAX_CHAIN = 2

DOORS: dict[tuple[str, str], str] = {}
"""Lazy import, as (importer, imported), that closes a cycle on purpose, to the reason."""


def module_of(path: Path, source: Path = SOURCE) -> str:
    """Return the dotted name of a file; a package's is that of its folder."""
    parts = (source.name, *path.relative_to(source).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(tree: ast.AST, known: set[str]) -> Iterator[str]:
    """Yield the modules that a file imports, at its top, for typing alone, and in functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield from (name for name in (inner if inner in known else node.module,) if name in known)


def import_graph(source: Path = SOURCE) -> dict[str, set[str]]:
    """Return each module with those that it imports, except through a door."""
    trees = {module_of(path, source): ast.parse(path.read_text(encoding="utf-8")) for path in source.rglob("*.py")}
    return {
        name: {other for other in imports_of(tree, set(trees)) if other != name and (name, other) not in DOORS}
        for name, tree in trees.items()
    }


def knots(graph: Mapping[str, set[str]]) -> list[set[str]]:
    """Return the sets of modules of which each can be reached from each other one (by Tarjan)."""
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[set[str]] = []

    def visit(name: str) -> None:
        number[name] = lowest[name] = len(number)
        stack.append(name)
        for other in sorted(graph[name]):
            if other not in number:
                visit(other)
                lowest[name] = min(lowest[name], lowest[other])
            elif other in stack:
                lowest[name] = min(lowest[name], number[other])
        if lowest[name] == number[name]:
            place = stack.index(name)
            if len(stack) - place > 1:
                found.append(set(stack[place:]))
            del stack[place:]

    for name in sorted(graph):
        if name not in number:
            visit(name)
    return found


def shortest_cycle(graph: Mapping[str, set[str]], start: str, within: set[str]) -> list[str]:
    """Return the shortest way from `start` back to it."""
    ways = [[start]]
    seen: set[str] = set()
    for way in ways:
        for other in sorted(graph[way[-1]] & within):
            if other == start:
                return [*way, start]
            if other not in seen:
                seen.add(other)
                ways.append([*way, other])
    return []


def cycles(graph: Mapping[str, set[str]]) -> list[str]:
    """Return one line for each cycle that is the shortest one of a module: `a -> b -> a`."""
    told: dict[frozenset[str], str] = {}
    for knot in knots(graph):
        for name in sorted(knot):
            way = shortest_cycle(graph, name, knot)
            told.setdefault(frozenset(way), " -> ".join(part.removeprefix("pipeloom.") for part in way))
    return list(told.values())


def test_no_import_cycle() -> None:
    found = cycles(import_graph())
    assert not found, f"{len(found)} import cycles:\n  " + "\n  ".join(found)


def test_every_door_is_in_use() -> None:
    trees = {module_of(path): ast.parse(path.read_text(encoding="utf-8")) for path in SOURCE.rglob("*.py")}
    unused = [door for door in DOORS if door[1] not in imports_of(trees[door[0]], set(trees))]
    assert unused == []


def test_cycles_are_found(tmp_path: Path) -> None:
    package = tmp_path / "p"
    package.mkdir()
    for name, text in {
        "__init__": "",
        "a": "from p import b",
        "b": "def f():\n    import p.c",
        "c": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from p.a import x",
        "d": "from p.a import x",
    }.items():
        (package / f"{name}.py").write_text(text)
    assert cycles(import_graph(package)) == ["p.a -> p.b -> p.c -> p.a"]


def test_no_file_is_too_long() -> None:
    lengths = {module_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCE.rglob("*.py")}
    assert {name: length for name, length in lengths.items() if length > MAX_LINES} == {}


def test_no_folder_is_too_full() -> None:
    """`__main__` is not counted: Python says where it is."""
    modules: defaultdict[str, int] = defaultdict(int)
    for path in SOURCE.rglob("*.py"):
        modules[path.parent.relative_to(SOURCE.parent).as_posix()] += path.stem != "__main__"
    assert {folder: count for folder, count in modules.items() if count > MAX_MODULES} == {}


class Classes:
    """The classes of a tree: which derive from which, and which hold state."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        self._nodes: dict[str, ast.ClassDef] = {}
        self._resolve: dict[str, dict[str, str]] = {}
        for module, source in sources.items():
            tree = ast.parse(source)
            names = {node.name: f"{module}.{node.name}" for node in tree.body if isinstance(node, ast.ClassDef)}
            for node in ast.walk(tree):
                if isinstance(node, ast.ImportFrom) and node.module is not None:
                    names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
            for node in ast.walk(tree):
                if isinstance(node, ast.ClassDef):
                    name = f"{module}.{node.name}"
                    self._nodes[name], self._resolve[name] = node, names

    def __iter__(self) -> Iterator[str]:
        return iter(self._nodes)

    def _base_names(self, name: str) -> Iterator[str]:
        """Yield the bases as they are named where they come from; `Base[T]` as `Base`."""
        for base in self._nodes[name].bases:
            plain = base.value if isinstance(base, ast.Subscript) else base
            text = ast.unparse(plain)
            yield self._resolve[name].get(text, text)

    def bases(self, name: str) -> list[str]:
        """Return the bases of ours that are neither protocols nor exceptions."""
        ours = [base for base in self._base_names(name) if base in self._nodes]
        return [base for base in ours if not self._is_protocol(base) and not self._is_exception(base)]

    def chain(self, name: str) -> list[str]:
        """Return the longest line of ancestors of ours, the class itself first."""
        return [name, *max((self.chain(base) for base in self.bases(name)), key=len, default=[])]

    def holds_state(self, name: str) -> bool:
        """Tell whether the class, or an ancestor of ours, assigns attributes of its own or of its objects."""
        return self._assigns(self._nodes[name]) or any(map(self.holds_state, self.bases(name)))

    def _is_protocol(self, name: str) -> bool:
        return any(base.rpartition(".")[2] == "Protocol" for base in self._base_names(name))

    def _is_exception(self, name: str) -> bool:
        bases = list(self._base_names(name))
        return any(base in self._nodes and self._is_exception(base) for base in bases) or any(
            base not in self._nodes and base.endswith(("Error", "Exception", "Interrupt")) for base in bases
        )

    @staticmethod
    def _assigns(node: ast.ClassDef) -> bool:
        for statement in node.body:
            if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) != "__slots__":
                return True
            if isinstance(statement, ast.AnnAssign) and not ast.unparse(statement.annotation).startswith("ClassVar"):
                return True
        return any(
            isinstance(inner, ast.Attribute)
            and isinstance(inner.ctx, ast.Store)
            and isinstance(inner.value, ast.Name)
            and inner.value.id == "self"
            for inner in ast.walk(node)
        )


def stateful_bases(classes: Classes) -> dict[str, list[str]]:
    """Return the classes that have more than one base of ours that holds state, with those."""
    found = {name: [base for base in classes.bases(name) if classes.holds_state(base)] for name in classes}
    return {name: bases for name, bases in found.items() if len(bases) > 1}


def long_chains(classes: Classes) -> list[str]:
    """Return the lines of ancestors of ours that are too long: `C(B(A))` is one of two."""
    chains = [classes.chain(name) for name in classes]
    return [" < ".join(chain) for chain in chains if len(chain) - 1 > MAX_CHAIN]


@pytest.fixture(scope="module")
def classes() -> Classes:
    return Classes({module_of(path): path.read_text(encoding="utf-8") for path in SOURCE.rglob("*.py")})


def test_no_class_has_two_bases_that_hold_state(classes: Classes) -> None:
    assert stateful_bases(classes) == {}


def test_no_line_of_ancestors_is_too_long(classes: Classes) -> None:
    assert long_chains(classes) == []


def test_bases_are_found() -> None:
    classes = Classes({
        "a": "class A:\n    x = 1\nclass B(A):\n    pass\nclass C(B): ...\nclass E(Exception):\n    x = 1",
        "b": "from typing import Protocol\nfrom a import B, C, E\nclass P(Protocol):\n    x: int\n"
        "class Q:\n    def f(self):\n        self.y = 1\nclass D(C, Q, P): ...\nclass F(E): ...",
    })  # fmt: skip
    assert stateful_bases(classes) == {"b.D": ["a.C", "b.Q"]}
    assert long_chains(classes) == ["b.D < a.C < a.B < a.A"]
