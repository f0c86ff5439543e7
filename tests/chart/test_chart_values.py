"""Every value is documented, typed and used, and every documented value exists."""

import json
import re
import subprocess
import sys
from base64 import b64decode
from collections.abc import Iterator, Mapping
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml
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
    """Yield the path of each value in the schema."""
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
    """Each object of the schema refuses unknown keys."""
    assert set(schema_leaves(SCHEMA)) - {"global", "enabled"} == set(VALUES)

    def closed(schema: Mapping[str, Any], where: str) -> None:
        if "properties" in schema:
            assert schema["additionalProperties"] is False, where
            for key, inner in schema["properties"].items():
                closed(inner, f"{where}.{key}")

    closed(SCHEMA, "values")
    whole = {"named", "object"}  # a volume and an object are what Kubernetes makes of them
    for name, definition in SCHEMA["definitions"].items():
        if name not in whole:
            closed(definition, name)


def test_the_schema_describes_every_value() -> None:
    """Each object has a description, too: the README is made from them, and editors show them."""

    def properties(schema: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
        for name, inner in schema.get("properties", {}).items():
            yield name, inner
            yield from properties(inner)

    for schema in (SCHEMA, *SCHEMA["definitions"].values()):
        for name, one in properties(schema):
            assert one.get("description"), name


def test_the_readme_and_the_copied_files_are_as_made() -> None:
    """`python tools/render_chart.py` makes the files anew."""
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, str(helm.ROOT / "tools" / "render_chart.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_chart_is_whole_by_itself() -> None:
    """The chart has no symbolic links, which Helm warns of, has an icon and names its source."""
    assert not [path for path in helm.CHART.rglob("*") if path.is_symlink()]
    chart = yaml.safe_load((helm.CHART / "Chart.yaml").read_text())
    form, _, content = chart["icon"].partition(",")
    assert form == "data:image/svg+xml;base64"
    assert ET.fromstring(b64decode(content)).tag == "{http://www.w3.org/2000/svg}svg"  # noqa: S314 - our own
    assert chart["home"].startswith("https://")


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
    "gateway.service.loadBalancerClass": "example.org/ours",
    "extraObjects": helm.OWN["extraObjects"],
    "serviceMonitor.interval": "30s",
}
BY_KEY: dict[str, object] = {  # likewise, wherever the key is
    "affinity": helm.OWN["affinity"],
    "clients": [{"namespaceSelector": {}}],
    "extraEnv": helm.OWN["extraEnv"],
    "extraVolumeMounts": [{"name": "ours", "mountPath": "/ours"}],
    "extraVolumes": helm.OWN["extraVolumes"],
    "monitoring": [{"namespaceSelector": {}}],
    "operators": [{"namespaceSelector": {}}],
    "podSecurityContext": {"fsGroup": 10002},
    "resources": {"limits": {"memory": "3Gi"}},
    "securityContext": {"privileged": False},
    "to": [{"namespaceSelector": {}}],
    "tolerations": [{"key": "another", "operator": "Exists"}],
    "topologySpreadConstraints": helm.OWN["topologySpreadConstraints"],
}
PARTS_WITH_CERTIFICATES = ("node", "gateway", "assistant", "health", "metrics")
SPREADS = {"hard": "soft", "soft": "hard"}
NEEDED: dict[str, dict[str, Any]] = {  # what must be set for a value to be of use, or to be allowed
    "gateway.service.nodePort": {"gateway": {"service": {"type": "NodePort"}}},
    "gateway.service.externalTrafficPolicy": {"gateway": {"service": {"type": "NodePort"}}},
    "gateway.service.loadBalancerClass": {"gateway": {"service": {"type": "LoadBalancer"}}},
    "gateway.service.loadBalancerSourceRanges": {"gateway": {"service": {"type": "LoadBalancer"}}},
    "serviceAccount.create": {"serviceAccount": {"name": "ours"}},
    **{
        f"tls.existingSecrets.{part}": {
            "tls": {"existingSecrets": dict.fromkeys(PARTS_WITH_CERTIFICATES, "ours")}
        }
        for part in PARTS_WITH_CERTIFICATES
    },
    **{
        f"{part}.extraVolumeMounts": {part: {"extraVolumes": helm.OWN["extraVolumes"]}}
        for part in ("node", "gateway", "assistant", "health", "metrics")
    },
}


def another(name: str) -> object:
    """Return an allowed value other than the default."""
    known: Any = helm.defaults()
    for key in name.split("."):
        known = known[key]
    if name in EXAMPLES:
        return EXAMPLES[name]
    if (key := name.rpartition(".")[2]) in BY_KEY:
        return BY_KEY[key]
    match known:
        case "hard" | "soft":
            return SPREADS[known]
        case bool() | int():
            return not known if isinstance(known, bool) else known + 5
        case str():
            return f"another{known}"
        case _:
            return {"another": "one"}


@pytest.mark.parametrize("name", VALUES)
def test_every_value_has_an_effect(name: str) -> None:
    """The value changes a rendered object, with the defaults or with everything switched on."""

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
    """Kubernetes would refuse a number or a truth value after the Job has run."""
    with pytest.raises(helm.RenderingRefused, match=r"got boolean|Expected: string"):
        helm.render(helm.value_at(f"{path}.spot", value=True))


@pytest.mark.parametrize(
    "name", ["hooks", "podSecurityContext", "securityContext", "networkPolicy.dns"]
)
def test_values_of_an_earlier_chart_are_refused(name: str) -> None:
    """`--reuse-values` lacks newer values: pods would run as any user."""
    with pytest.raises(
        helm.RenderingRefused, match=f"{name} is not there.*--reset-then-reuse-values"
    ):
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
    """No file sets a value to its default."""
    given = helm.values_of(variant)
    for name in leaves(given):
        below: Any = helm.defaults()
        above: Any = given
        for key in name.split("."):
            if isinstance(below, dict) and not below:  # shapeless
                break
            below, above = below.get(key, {}), above[key]
        assert above != below, name
