"""The house rules for classes: their size, their names, their records, their exceptions.

A rule has a table of exceptions, each with its reason. An exception that nothing needs fails too,
so the tables hold what is so and nothing else.
"""

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ATTRIBUTES_MAX = 12
POSITIONAL_FIELDS_MAX = 5
PLACES = ("libs/*/src", "clients/*/src", "services/*/src", "tests/*/src")

Exceptions = Mapping[tuple[str, str], str]  # (the module below the root, the name): why


@dataclass(frozen=True, slots=True)
class Found:
    """A class of ours, and the module that defines it."""

    module: str
    line: int
    node: ast.ClassDef

    @property
    def key(self) -> tuple[str, str]:
        """How a table of exceptions names it."""
        return self.module, self.node.name

    @property
    def where(self) -> str:
        """How a failure names it."""
        return f"{self.module}:{self.line} {self.node.name}"


def classes() -> list[Found]:
    """Return every class that ships, and every class of the tests' libraries."""
    paths = (path for place in PLACES for path in ROOT.glob(f"{place}/**/*.py"))
    found = []
    for path in sorted(path for path in paths if "_pb2" not in path.name):
        module = path.relative_to(ROOT).as_posix()
        found += [
            Found(module, node.lineno, node)
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.ClassDef)
        ]
    return found


def own(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what is inside a class, without the classes inside it."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.ClassDef):
            yield child
            yield from own(child)


def fields(node: ast.ClassDef) -> list[str]:
    """Return the names that the head of a class annotates, class variables left out."""
    return [
        statement.target.id
        for statement in node.body
        if isinstance(statement, ast.AnnAssign)
        and isinstance(statement.target, ast.Name)
        and "ClassVar" not in ast.unparse(statement.annotation)
    ]


def slots(node: ast.ClassDef) -> set[str]:
    """Return the names in `__slots__`."""
    for statement in node.body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "__slots__":
            value = ast.literal_eval(statement.value)
            return {value} if isinstance(value, str) else set(value)
    return set()


def attributes(node: ast.ClassDef) -> set[str]:
    """Return the attributes of an instance: fields, slots, and what any method assigns to self."""
    assigned = {
        inner.attr
        for inner in own(node)
        if isinstance(inner, ast.Attribute)
        and isinstance(inner.ctx, ast.Store)
        and isinstance(inner.value, ast.Name)
        and inner.value.id == "self"
    }
    return assigned | set(fields(node)) | slots(node)


def decorators(node: ast.ClassDef) -> str:
    """Return the decorators of a class, as text."""
    return " ".join(ast.unparse(one) for one in node.decorator_list)


def bases(node: ast.ClassDef) -> list[str]:
    """Return the base classes' names, without their modules."""
    return [ast.unparse(base).partition("[")[0].rpartition(".")[2] for base in node.bases]


def exceptions_among(found: list[Found]) -> list[Found]:
    """Return the classes that inherit from an exception, through classes of ours or directly."""
    names = {"BaseException", "Exception"}
    exceptions: list[Found] = []
    while True:
        grown = [
            one
            for one in found
            if any(base in names or base.endswith("Error") for base in bases(one.node))
        ]
        if len(grown) == len(exceptions):
            return exceptions
        exceptions = grown
        names |= {one.node.name for one in exceptions}


def judge(broken: Mapping[tuple[str, str], str], exceptions: Exceptions) -> None:
    """Fail for what breaks a rule and is no exception, and for an exception that breaks none."""
    unexpected = [text for key, text in broken.items() if key not in exceptions]
    assert not unexpected, "\n".join(["these break the rule:", *unexpected])
    needless = [key for key in exceptions if key not in broken]
    assert not needless, f"these are no exceptions: {needless}"
    assert all(exceptions.values()), "an exception has a reason"


MIRROR = "mirrors a message of the schema, and is made from it"
TOO_MANY_ATTRIBUTES: Exceptions = {
    ("clients/sdk/src/inventory_client/models.py", "ItemStats"): MIRROR,
    ("clients/sdk/src/inventory_client/models.py", "Member"): MIRROR,
    (
        "services/inventory-node/src/inventory_node/core/settings.py",
        "NodeSettings",
    ): "one field a setting",
    (
        "services/inventory-node/src/inventory_node/machine/records.py",
        "ItemRecord",
    ): "a row of a table",
    ("services/inventory-node/src/inventory_node/config.py", "NodeConfig"): "one field a setting",
}


def test_a_class_has_twelve_attributes_at_most() -> None:
    """A class that keeps more is several classes: a part of it has a name of its own."""
    broken = {}
    for one in classes():
        names = attributes(one.node)
        if len(names) > ATTRIBUTES_MAX:
            broken[one.key] = f"{one.where} has {len(names)} attributes: {', '.join(sorted(names))}"
    judge(broken, TOO_MANY_ATTRIBUTES)


def test_a_class_name_stands_once_in_the_tree() -> None:
    """Whoever searches for a class finds one; what is like another says how it differs."""
    homes: defaultdict[str, list[str]] = defaultdict(list)
    for one in classes():
        homes[one.node.name].append(one.where)
    unexpected = sorted(", ".join(where) for where in homes.values() if len(where) > 1)
    assert not unexpected, "\n".join(["these have one name:", *unexpected])


ROW = "a row, which a statement of SQL takes as it is: a tuple in the order of the columns"
POSITIONAL: Exceptions = {
    ("services/inventory-node/src/inventory_node/machine/changes.py", "Level"): ROW,
    ("services/inventory-node/src/inventory_node/machine/changes.py", "Movement"): ROW,
}


def test_a_record_of_more_than_five_fields_names_them_where_it_is_made() -> None:
    """Six values in a row are mixed up sooner or later: `kw_only=True`, and no NamedTuple."""
    broken = {}
    for one in classes():
        is_tuple = "NamedTuple" in bases(one.node)
        is_record = "dataclass" in decorators(one.node)
        by_name = "kw_only=True" in decorators(one.node)
        count = len(fields(one.node))
        if (is_tuple or (is_record and not by_name)) and count > POSITIONAL_FIELDS_MAX:
            broken[one.key] = f"{one.where} has {count} fields and is not kw_only"
    judge(broken, POSITIONAL)


ERRORS_ELSEWHERE: Exceptions = {
    (
        "libs/raft/src/rafttest/properties.py",
        "PropertyViolation",
    ): "the one exception of a library of tests",
    (
        "libs/wire/src/wire/money.py",
        "MoneyError",
    ): "of one parser; wire.errors is the table of refusals",
}


def test_an_exception_is_defined_in_a_module_called_errors() -> None:
    """The errors of a room stand together, their tree on top; a library of tests has one or two."""
    broken = {
        one.key: f"{one.where} is an exception outside of an errors.py"
        for one in exceptions_among(classes())
        if not one.module.startswith("tests/") and not one.module.endswith("/errors.py")
    }
    judge(broken, ERRORS_ELSEWHERE)


QUESTIONS = ("is_", "has_", "may_", "can_", "was_", "are_", "reaches_")
CHANGES = {  # methods of containers that change them
    "add",
    "append",
    "appendleft",
    "clear",
    "discard",
    "extend",
    "insert",
    "pop",
    "popitem",
    "popleft",
    "remove",
    "setdefault",
    "update",
}


def is_question(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Return whether a method reads as a question: a property, or a name such as `is_ready`."""
    is_property = any(ast.unparse(one) == "property" for one in node.decorator_list)
    return is_property or node.name.lstrip("_").startswith(QUESTIONS)


def changes(node: ast.AST) -> bool:
    """Return whether a node assigns to an attribute, or changes a container of self."""
    if isinstance(node, ast.Attribute):
        return not isinstance(node.ctx, ast.Load)
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in CHANGES
        and ast.unparse(node.func.value).startswith("self.")
    )


def test_a_question_changes_nothing() -> None:
    """A property, or a method named `is_`, `has_`, `may_` and so on, can be asked at any time."""
    broken = {
        (one.module, f"{one.node.name}.{node.name}"): f"{one.where}.{node.name} changes something"
        for one in classes()
        for node in one.node.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and is_question(node)
        and any(changes(inner) for inner in ast.walk(node))
    }
    judge(broken, {})
