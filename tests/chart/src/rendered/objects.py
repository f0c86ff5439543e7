"""What policies ask for in rendered objects: pods wherever they are, containers, selectors."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

COMPONENT = "app.kubernetes.io/component"
LASTING = ("Deployment", "StatefulSet", "DaemonSet")


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod, or the template of pods, and the object that it is in."""

    owner: Mapping[str, Any]
    metadata: Mapping[str, Any]
    spec: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Kind and name of its object."""
        return f"{self.owner['kind']}/{self.owner['metadata']['name']}"

    @property
    def labels(self) -> Mapping[str, str]:
        """Its labels."""
        labels: Mapping[str, str] = self.metadata["labels"]
        return labels

    @property
    def component(self) -> str:
        """The component that the pod is a part of."""
        return self.labels[COMPONENT]

    @property
    def lasting(self) -> bool:
        """Whether the pod is meant to run for good."""
        return self.owner["kind"] in LASTING

    @property
    def containers(self) -> list[Mapping[str, Any]]:
        """Every container, init containers included."""
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]

    @property
    def ports(self) -> dict[str, int]:
        """The port numbers of its containers by their names."""
        ports = (port for container in self.containers for port in container.get("ports", []))
        return {port["name"]: port["containerPort"] for port in ports}


def keys_of(found: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the Secret with the keys, beside those with certificates."""
    [secret] = [
        one for one in of_kind(found, "Secret") if one["metadata"]["name"].endswith("-keys")
    ]
    return secret


def pods(found: Iterable[Mapping[str, Any]]) -> list[Pod]:
    """Return every pod: bare pods, and pods of templates, of Jobs and of CronJobs."""
    made = []
    for one in found:
        spec = one.get("spec") or {}
        if one["kind"] == "Pod":
            made.append(Pod(one, one["metadata"], spec))
            continue
        template = spec.get("jobTemplate", {}).get("spec", spec).get("template")
        if template:
            made.append(Pod(one, template["metadata"], template["spec"]))
    return made


def of_kind(found: Iterable[Mapping[str, Any]], *kinds: str) -> list[Mapping[str, Any]]:
    """Return the objects of some kinds."""
    return [one for one in found if one["kind"] in kinds]


def is_hook(one: Mapping[str, Any]) -> bool:
    """Return whether an object is a hook, which Helm runs and does not keep."""
    return "helm.sh/hook" in (one["metadata"].get("annotations") or {})


def chosen_by(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Return whether a label selector matches labels; an empty selector matches everything."""
    for name, value in selector.get("matchLabels", {}).items():
        if labels.get(name) != value:
            return False
    for one in selector.get("matchExpressions", []):
        value = labels.get(one["key"])
        match one["operator"]:
            case "In":
                fits = value in one["values"]
            case "NotIn":
                fits = value not in one["values"]
            case "Exists":
                fits = value is not None
            case "DoesNotExist":
                fits = value is None
            case unknown:
                raise ValueError(f"{unknown} is no operator of a label selector")
        if not fits:
            return False
    return True
