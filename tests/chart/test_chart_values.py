"""Every value is documented, typed and used; every one that is documented is there."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from rendered import helm

SHAPELESS = ("resources",)  # as Kubernetes has them: documented as a whole
DOCUMENT = helm.ROOT / "docs" / "operating.md"


def leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield the path of each value."""
    for key, value in values.items():
        if isinstance(value, dict) and value and key not in SHAPELESS:
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def schema_leaves(schema: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield the path of each value that the schema knows."""
    for key, inner in schema["properties"].items():
        if "properties" in inner:
            yield from schema_leaves(inner, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


VALUES = sorted(leaves(helm.defaults()))
SCHEMA = json.loads((helm.CHART / "values.schema.json").read_text())


def documented() -> set[str]:
    """Return the values of the table in docs/operating.md."""
    table = DOCUMENT.read_text().partition("\n## Values\n")[2]
    first_cells = (line.split("|")[1] for line in table.splitlines() if line.startswith("| `"))
    return {name for cell in first_cells for name in re.findall(r"`([\w.]+)`", cell)}


def test_every_value_is_documented_and_every_documented_one_is_there() -> None:
    """The table of docs/operating.md is the list."""
    assert documented() == set(VALUES)


def test_the_schema_knows_every_value_and_no_other() -> None:
    """Each part of it refuses keys that it does not know."""
    assert set(schema_leaves(SCHEMA)) - {"global"} == set(VALUES)

    def closed(schema: Mapping[str, Any], where: str) -> None:
        if "properties" in schema:
            assert schema["additionalProperties"] is False, where
            for key, inner in schema["properties"].items():
                closed(inner, f"{where}.{key}")

    closed(SCHEMA, "values")


@pytest.mark.parametrize("name", VALUES)
def test_every_value_is_used(name: str) -> None:
    """By a template; one that nothing reads would promise what is not done."""
    text = "".join(path.read_text() for path in (helm.CHART / "templates").rglob("*.*"))
    assert re.search(rf"\.Values\.{re.escape(name)}\b", text)


@pytest.mark.parametrize("variant", ["kind", "minikube", "production"])
def test_a_file_of_values_sets_only_what_there_is(variant: str) -> None:
    """And nothing to what it is by itself."""
    given = helm.values_of(variant)
    for name in leaves(given):
        below: Any = helm.defaults()
        above: Any = given
        for key in name.split("."):
            if isinstance(below, dict) and not below:  # shapeless
                break
            below, above = below.get(key, {}), above[key]
        assert above != below, name
