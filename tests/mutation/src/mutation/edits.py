"""The edits of a module: small changes of its code, each as the whole text with the one change."""

import ast
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import libcst as cst
from libcst.metadata import CodeRange, MetadataWrapper, WhitespaceInclusivePositionProvider
from mutmut.mutation.mutators import mutation_operators, operator_string

Operator = Callable[[Any], Iterable[cst.CSTNode]]

# Code that runs once and decides nothing, or whose change no test of behaviour looks at.
_KEPT = (cst.Annotation, cst.Decorator, cst.Import, cst.ImportFrom, cst.Raise, cst.TypeAlias)
_CALLS_KEPT = {"TypeVar", "assert_never", "cast", "field", "isinstance", "len"}
_ASSIGNED_KEPT = {"__all__", "__slots__"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """One change: `was` and `now` are the lines that differ, without their indentation."""

    function: str  # the outermost function, qualified; empty at the module's or a class's level
    line: int  # from 1, of the first line that differs
    was: str
    now: str
    source: str  # the module with the change
    key: str  # a hash of the name and the text of the function with the change


@dataclass(frozen=True, slots=True)
class Span:
    """The lines of an outermost function, from 1; its decorators count."""

    function: str
    first: int
    last: int


def spans(source: str) -> list[Span]:
    """Return the outermost functions of a module: those of the module and those of its classes."""

    def below(body: Sequence[ast.stmt], prefix: str) -> Iterator[Span]:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
                yield Span(prefix + node.name, first, node.end_lineno or first)
            elif isinstance(node, ast.ClassDef):
                yield from below(node.body, f"{prefix}{node.name}.")

    return list(below(ast.parse(source).body, ""))


def statements(source: str) -> dict[int, range]:
    """Return for each line, from 1, the lines of the statement around it; of a block, its head."""
    found: dict[int, range] = {}
    for node in ast.walk(ast.parse(source)):  # what is inside comes after what is around it
        if isinstance(node, ast.stmt | ast.ExceptHandler | ast.match_case):
            where = node.pattern if isinstance(node, ast.match_case) else node
            body: list[ast.stmt] = getattr(node, "body", [])
            last = (where.end_lineno or where.lineno) if not body else body[0].lineno - 1
            lines = range(where.lineno, max(last, where.lineno) + 1)
            found |= dict.fromkeys(lines, lines)
    return found


def drop_call(node: cst.Expr) -> Iterator[cst.CSTNode]:
    """Leave out a call whose result nobody takes."""
    if isinstance(node.value, cst.Call | cst.Await):
        yield cst.Pass()


def negate_condition(node: cst.If | cst.While) -> Iterator[cst.CSTNode]:
    """Turn a condition around that is a name, an attribute or a call."""
    if isinstance(node.test, cst.Name | cst.Attribute | cst.Call):
        test = cst.UnaryOperation(cst.Not(), node.test)
        space = cst.SimpleWhitespace(" ")
        name = "whitespace_before_test" if isinstance(node, cst.If) else "whitespace_after_while"
        yield node.with_changes(test=test, **{name: space})


_OPERATORS: tuple[tuple[type, Operator], ...] = (
    *mutation_operators,
    (cst.Expr, drop_call),
    (cst.If, negate_condition),
    (cst.While, negate_condition),
)


def variants(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """Yield what the operators make of one node; of a string, one variant says enough."""
    for kind, operator in _OPERATORS:
        if isinstance(node, kind):
            made = operator(node)
            yield from islice(made, 1) if operator is operator_string else made


def is_kept(node: cst.CSTNode) -> bool:
    """Tell whether a node is left as it is, with all that is inside it."""
    if isinstance(node, cst.Call) and isinstance(node.func, cst.Name):
        return node.func.value in _CALLS_KEPT
    if isinstance(node, cst.Assign) and isinstance(node.targets[0].target, cst.Name):
        return node.targets[0].target.value in _ASSIGNED_KEPT
    if isinstance(node, cst.AnnAssign) and isinstance(node.annotation.annotation, cst.Name):
        return node.annotation.annotation.value == "TypeAlias"
    if isinstance(node, cst.Expr):  # a docstring, or what the types rule out
        return isinstance(node.value, cst.BaseString) or is_kept(node.value)
    return isinstance(node, _KEPT)


class EditCollector(cst.CSTVisitor):
    """Collects the nodes of a module with their variants."""

    def __init__(self) -> None:
        """Start with nothing."""
        super().__init__()
        self.found: list[tuple[cst.CSTNode, cst.CSTNode]] = []

    def on_visit(self, node: cst.CSTNode) -> bool:
        """Collect the variants of a node, and go on to what is inside it."""
        if is_kept(node):
            return False
        self.found += [(node, variant) for variant in variants(node)]
        return True


def differing(old: Sequence[str], new: Sequence[str]) -> tuple[int, int, int]:
    """Return the first line that differs, from 0, and where both stretches that differ end."""
    first = 0
    while first < min(len(old), len(new)) and old[first] == new[first]:
        first += 1
    same = 0
    while same < min(len(old), len(new)) - first and old[-1 - same] == new[-1 - same]:
        same += 1
    return first, len(old) - same, len(new) - same


def edit_of(source: str, changed: str, functions: Sequence[Span]) -> Edit:
    """Describe the difference between a module and the module with one change."""
    old, new = source.splitlines(), changed.splitlines()
    first, old_end, new_end = differing(old, new)
    place = [span for span in functions if span.first <= first + 1 <= span.last]
    function, text = "", changed
    if place:
        function = place[0].function
        text = "\n".join(new[place[0].first - 1 : place[0].last + len(new) - len(old)])
    return Edit(
        function=function,
        line=first + 1,
        was="\n".join(line.strip() for line in old[first:old_end]),
        now="\n".join(line.strip() for line in new[first:new_end]),
        source=changed,
        key=hashlib.sha256(f"{function}\0{text}".encode()).hexdigest(),
    )


def replaced(
    module: cst.Module, source: str, node: cst.CSTNode, variant: cst.CSTNode, place: CodeRange
) -> str:
    """Return the text of a module in which a variant stands in the place of a node."""
    if place.start.line != place.end.line:  # its text depends on the indentation around it
        changed = module.deep_replace(node, variant)
        if not isinstance(changed, cst.Module):
            raise TypeError("an operator replaced the module")
        return changed.code
    lines = source.splitlines(keepends=True)
    at = place.start.line - 1
    line = lines[at]
    changed_line = (
        line[: place.start.column] + module.code_for_node(variant) + line[place.end.column :]
    )
    return "".join([*lines[:at], changed_line, *lines[at + 1 :]])


def edits(source: str) -> list[Edit]:
    """Return every edit of a module that compiles."""
    wrapped = MetadataWrapper(cst.parse_module(source), unsafe_skip_copy=True)
    places = wrapped.resolve(WhitespaceInclusivePositionProvider)
    module = wrapped.module
    changes = EditCollector()
    module.visit(changes)
    functions = spans(source)
    found: dict[str, Edit] = {}
    for node, variant in changes.found:
        text = replaced(module, source, node, variant, places[node])
        try:
            compile(text, "edit", "exec", dont_inherit=True)
        except SyntaxError:
            continue
        if text != source:
            found.setdefault(text, edit_of(source, text, functions))
    return sorted(found.values(), key=lambda edit: edit.line)
