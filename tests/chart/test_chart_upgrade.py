"""What Kubernetes lets nobody change is as it was recorded, so that an upgrade goes through.

`UPDATE_RECORD=1` writes tests/chart/immutable.json anew. A change in it breaks `helm upgrade` for
everybody who has installed the chart: Kubernetes refuses it, or data is left behind under another
name. Adding to it is harmless.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from rendered import helm
from rendered.objects import of_kind

RECORD = Path(__file__).parent / "immutable.json"
MUTABLE_OF_A_STATEFUL_SET = {  # Kubernetes refuses an update to any other field of its spec
    *("replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit"),
    *("persistentVolumeClaimRetentionPolicy", "minReadySeconds"),
}
VARIANTS = ("default", "kind", "minikube", "production")


def immutable(variant: str) -> dict[str, Any]:
    """Return the immutable fields, by kind and name."""
    made: dict[str, Any] = {}
    for one in of_kind(helm.objects(variant), "StatefulSet"):
        spec = {key: one["spec"][key] for key in one["spec"].keys() - MUTABLE_OF_A_STATEFUL_SET}
        made[f"StatefulSet/{one['metadata']['name']}"] = spec
    for one in of_kind(helm.objects(variant), "Deployment"):
        made[f"Deployment/{one['metadata']['name']}"] = {"selector": one["spec"]["selector"]}
    for one in of_kind(helm.objects(variant), "Service"):
        kept = {"clusterIP": one["spec"].get("clusterIP", "assigned")}
        made[f"Service/{one['metadata']['name']}"] = kept
    for one in of_kind(helm.objects(variant), "Secret"):
        made[f"Secret/{one['metadata']['name']}"] = {"keys": sorted(one["data"])}
    return made


def test_what_nobody_may_change_is_as_it_was_recorded() -> None:
    """The record has every variant that somebody may have installed."""
    found = {variant: immutable(variant) for variant in VARIANTS}
    if os.environ.get("UPDATE_RECORD"):
        RECORD.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    assert json.loads(RECORD.read_text()) == found


@pytest.mark.parametrize(
    "changed",
    [
        {"image": {"tag": "2.0.0"}},
        {"log": {"level": "debug"}},
        {"node": {"terminationGracePeriodSeconds": 90, "spread": "hard"}},
        {"gateway": {"replicaCount": 5}, "networkPolicy": {"enabled": False}},
        {"node": {"podAnnotations": {"a": "b"}, "nodeSelector": {"c": "d"}}},
    ],
    ids=str,
)
def test_a_value_that_may_be_changed_changes_nothing_immutable(changed: dict[str, Any]) -> None:
    """Kubernetes takes a `helm upgrade` with the changed value."""
    [before] = of_kind(helm.objects("default"), "StatefulSet")
    [after] = of_kind(helm.parsed(changed), "StatefulSet")
    for key in before["spec"].keys() | after["spec"].keys():
        if key not in MUTABLE_OF_A_STATEFUL_SET:
            assert before["spec"].get(key) == after["spec"].get(key), key


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("count", [0, 1, 5])
def test_another_number_of_members_rolls_none_that_stays(variant: str, count: int) -> None:
    """The pods of staying members do not change, and the founders stay the same."""
    values = helm.merged(helm.values_of(variant), {"initialReplicaCount": 3})
    [before] = of_kind(helm.parsed(values), "StatefulSet")
    [after] = of_kind(helm.parsed(values | {"replicaCount": count}), "StatefulSet")
    assert after["spec"]["replicas"] == count
    assert after["spec"]["template"] == before["spec"]["template"]


def test_claims_carry_no_version() -> None:
    """The label of a version in a claim's template would end every upgrade."""
    [members] = of_kind(helm.objects("default"), "StatefulSet")
    for claim in members["spec"]["volumeClaimTemplates"]:
        assert claim["metadata"]["labels"].keys() == {
            *("app.kubernetes.io/name", "app.kubernetes.io/instance"),
            "app.kubernetes.io/component",
        }
