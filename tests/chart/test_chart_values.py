"""Every value is documented, typed and used; every one that is documented is there."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from rendered import helm
from rendered.objects import pods

# As Kubernetes has them: documented as a whole.
SHAPELESS = ("resources", "podSecurityContext", "securityContext")
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
    assert set(schema_leaves(SCHEMA)) - {"global", "enabled"} == set(VALUES)

    def closed(schema: Mapping[str, Any], where: str) -> None:
        if "properties" in schema:
            assert schema["additionalProperties"] is False, where
            for key, inner in schema["properties"].items():
                closed(inner, f"{where}.{key}")

    closed(SCHEMA, "values")


EXAMPLES: dict[str, object] = {  # where another value of the same type would be nonsense
    "currency": "EUR",
    "gateway.autoscaling.minReplicas": 3,
    "gateway.service.externalTrafficPolicy": "Local",
    "gateway.service.loadBalancerSourceRanges": ["192.0.2.0/24"],
    "gateway.service.type": "LoadBalancer",
    "gateway.service.nodePort": 30999,
    "image.digest": f"sha256:{'0' * 64}",
    "image.pullPolicy": "Always",
    "imagePullSecrets": [{"name": "ours"}],
    "log.format": "console",
    "log.level": "debug",
    "node.persistence.size": "9Gi",
    "replicaCount": 5,
}
SPREADS = {"hard": "soft", "soft": "hard"}
NEEDED: dict[str, dict[str, Any]] = {  # what must be set for a value to be of use, or to be allowed
    "gateway.service.nodePort": {"gateway": {"service": {"type": "NodePort"}}},
    "serviceAccount.create": {"serviceAccount": {"name": "ours"}},
}


def another(name: str) -> object:
    """Return an allowed value that is not the default."""
    known: Any = helm.defaults()
    for key in name.split("."):
        known = known[key]
    if name in EXAMPLES:
        return EXAMPLES[name]
    match known:
        case "hard" | "soft":
            return SPREADS[known]
        case bool() | int():
            return not known if isinstance(known, bool) else known + 5
        case str():
            return f"another{known}"
        case list():
            return [{"namespaceSelector": {}, "key": "another", "operator": "Exists"}]
        case _:
            return {"another": "one"}


@pytest.mark.parametrize("name", VALUES)
def test_every_value_has_an_effect(name: str) -> None:
    """On an object, as it is or where everything is switched on; never only in the table."""

    def rendered(values: dict[str, Any]) -> dict[str, str]:
        texts = helm.render(values)
        return {key: text for key, text in texts.items() if key not in ("secret.yaml", "NOTES.txt")}

    setting = helm.value_at(name, another(name))
    for variant in ("default", "all"):
        below = helm.merged(helm.values_of(variant), NEEDED.get(name, {}))
        if rendered(helm.merged(below, setting)) != rendered(below):
            return
    pytest.fail(f"{name} changes nothing")


@pytest.mark.parametrize(
    "path", ["gateway.podAnnotations", "node.nodeSelector", "node.podLabels", "dashboards.labels"]
)
def test_what_kubernetes_takes_as_text_is_text(path: str) -> None:
    """A number or a truth value would be refused by its API, after the Job."""
    with pytest.raises(helm.Refused, match=r"got boolean|Expected: string"):
        helm.render(helm.value_at(f"{path}.spot", value=True))


@pytest.mark.parametrize(
    "name", ["hooks", "podSecurityContext", "securityContext", "networkPolicy.dns"]
)
def test_values_of_an_earlier_chart_are_refused(name: str) -> None:
    """With --reuse-values there is nothing of what came since: pods would run as anybody."""
    with pytest.raises(helm.Refused, match=f"{name} is not there.*--reset-then-reuse-values"):
        helm.render(helm.value_at(name, None))


def test_another_chart_may_switch_this_one_off() -> None:
    """`condition: inventory.enabled` of a dependency is handed in with the values."""
    assert helm.render({"enabled": True})


def test_a_digest_goes_before_a_tag() -> None:
    """In every pod."""
    digest = f"sha256:{'0' * 64}"
    image = {"repository": "registry.example.org/inventory", "tag": "1.2.3", "digest": digest}
    for pod in pods(helm.parsed({"image": image})):
        for container in pod.containers:
            assert container["image"] == f"registry.example.org/inventory@{digest}"


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
