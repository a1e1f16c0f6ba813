"""Text that is not a literal of ours reaches the screen through `pipeloom.tui.style.text`, and nowhere else.

Textual parses markup in any plain string that it is handed; `[/]` in a task's name ends the program. So nothing but a
literal, or what is plainly Text or Content, may stand where a string becomes visible.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TUI = Path(__file__).parents[1] / "src" / "pipeloom" / "tui"

CALLS = {
    "Static", "Label", "Button", "Checkbox", "RadioButton", "Option", "Tab", "TabPane", "Collapsible", "Link", "Digits",
    "notify", "update", "with_tooltip", "add_row", "add_column", "add_option", "add_leaf", "update_cell", "Markdown",
    "from_markup", "set_label", "PaneTitle", "Toast", "Notification",
}  # fmt: skip
"""Functions and methods that show their first argument; what `title=` names is shown by all of them."""

ATTRIBUTES = {"border_title", "border_subtitle", "tooltip", "label", "title", "sub_title", "prompt", "renderable"}

WRAPPERS = {
    "content",
    "lines",
    "cell",
    "cell_first_line",
    "Text",
    "Content",
    "assemble",
    "styled",
    "join",
    "bar_content",
    "clean",  # with markup off, which `is_true(markup)` watches over
}
"""What gives Text or Content: functions of `pipeloom.tui.style.text`, and ways of building the two."""

NEVER = {"from_markup", "escape"}
"""What parses markup, or pretends to make it harmless."""


def name_of(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Call(func=function):
            return name_of(function)
    return ""


def is_safe(node: ast.expr | None) -> bool:
    """Tell whether the expression is a literal, a constant, or text that is wrapped where it stands."""
    match node:
        case None | ast.Constant():
            return True
        case ast.Call():
            return name_of(node) in WRAPPERS or name_of(node).endswith(("_content", "_text", "_line", "_lines"))
        case ast.Name(id=name):
            return name.isupper()
        case ast.Attribute(attr=name):
            return name.endswith(("_content", "_label", "_title_line", "_body")) or name.isupper()
        case ast.IfExp(body=one, orelse=other):
            return is_safe(one) and is_safe(other)
        case ast.BinOp(left=left, right=right):
            return is_safe(left) and is_safe(right)
    return False


def faults(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            name = name_of(node)
            if name in NEVER:
                yield f"{node.lineno}: {name}"
            if name in CALLS and not dictionary_update(node):
                shown = [
                    *node.args[:1],
                    *(word.value for word in node.keywords if word.arg in {"content", "label", "title"}),
                ]
                yield from (f"{node.lineno}: {name}" for argument in shown if not is_safe(argument))
            if (
                isinstance(node.func, ast.Name)
                and name == "key"
                and not all(isinstance(argument, ast.Constant) for argument in node.args)
            ):
                yield f"{node.lineno}: key"
            yield from (
                f"{node.lineno}: markup" for word in node.keywords if word.arg == "markup" and is_true(word.value)
            )
            yield from (
                f"{node.lineno}: tooltip" for word in node.keywords if word.arg == "tooltip" and not is_safe(word.value)
            )
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                if isinstance(target, ast.Attribute) and target.attr in ATTRIBUTES and not is_safe(node.value):
                    yield f"{node.lineno}: {target.attr}"


def dictionary_update(node: ast.Call) -> bool:
    """Tell a mapping's `update` from a widget's: our mappings are private attributes, our widgets never are."""
    function = node.func
    return name_of(node) == "update" and isinstance(function, ast.Attribute) and name_of(function.value).startswith("_")


def is_true(node: ast.expr) -> bool:
    return not (isinstance(node, ast.Constant) and node.value is False)


@pytest.mark.parametrize("path", sorted(TUI.rglob("*.py")), ids=lambda path: path.relative_to(TUI).as_posix())
def test_no_unwrapped_text_reaches_the_screen(path: Path) -> None:
    if path.name not in ("text.py", "bindings.py"):  # `key` takes nothing but literals: see `faults`
        assert list(faults(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "code",
    [
        "Static(name)",
        "Label(f'{name}')",
        "Button(row.name)",
        "app.notify(str(error))",
        "self.notify('ok', title=name)",
        "widget.update(text)",
        "self.border_title = name",
        "w.tooltip = f'a {b}'",
        "Static('a' + name)",
        "Content.from_markup('a')",
        "Static(escape(name))",
        "Static('[b]a[/b]', markup=True)",
        "Binding('x', 'y', 'z', tooltip=name)",
        "Static(name if name else 'a')",
    ],
)
def test_the_lint_finds(code: str) -> None:
    assert list(faults(code))


@pytest.mark.parametrize(
    "code",
    [
        "Static('a')",
        "Static()",
        "Static(content(name))",
        "app.notify('saved')",
        "widget.update(lines(text))",
        "Static(Content.assemble('a', content(name)))",
        "self._known.update(rows)",
        "w.tooltip = None",
        "Static(EMPTY)",
    ],
)
def test_the_lint_lets_pass(code: str) -> None:
    assert not list(faults(code))
