"""Jobs that Helm runs before an upgrade and a rollback, and upgrades that the chart refuses."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from rendered import helm
from rendered.objects import keys_of, of_kind, pods
from rendered.running import upgraded

RECORDER = """#!/bin/sh
echo "$*" >> "$CALLS"
case "$*" in
  *"$FAILS"*) exit 1 ;;
  *"$HANGS"*) sleep 60 ;;
esac
"""
SECONDS_MAX = 20
PLACEMENT = ("priorityClassName", "nodeSelector", "tolerations", "affinity")


def jobs(found: list[dict[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Return the Jobs by their hooks."""
    return {
        one["metadata"]["annotations"]["helm.sh/hook"]: one["spec"] for one in of_kind(found, "Job")
    }


def running(values: Mapping[str, Any], **change: Any) -> list[Mapping[str, Any]]:  # noqa: ANN401 - fields of a spec
    """Return the objects of a release with `values`, and change fields of the members' spec."""
    found = helm.parsed(values)
    [members] = of_kind(found, "StatefulSet")
    rest = [one for one in found if one is not members]
    return [{**members, "spec": {**members["spec"], **change}}, *rest]


def is_gateway(one: Mapping[str, Any]) -> bool:
    """Tell whether an object is the gateways' Deployment."""
    return one["kind"] == "Deployment" and str(one["metadata"]["name"]).endswith("-gateway")


def run_script(
    folder: Path, job: Mapping[str, Any], fails: str = "nothing", hangs: str = "nothing"
) -> tuple[int, list[str]]:
    """Run a Job's command with a command line that writes down how it is called.

    What `fails` and `hangs` name does so; what would be waited for half a minute, is for a second.
    """
    [container] = job["template"]["spec"]["containers"]
    *shell, script = container["command"]
    (folder / "inventory").write_text(RECORDER)
    (folder / "inventory").chmod(0o755)
    (folder / "admin.password").write_text("of this test alone\n")
    calls = folder / "calls"
    calls.touch()
    script = script.replace("/keys/", f"{folder}/").replace("timeout 30", "timeout 1")
    done = subprocess.run(  # noqa: S603 - the chart's own command
        [*shell, script],
        env={
            "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
            "CALLS": str(calls),
            "FAILS": fails,
            "HANGS": hangs,
        },
        timeout=SECONDS_MAX,
        check=False,
    )
    return done.returncode, calls.read_text().splitlines()


def test_before_an_upgrade_every_voter_is_well_and_who_goes_is_removed(tmp_path: Path) -> None:
    """The commands run in this order, and the first command that fails ends the Job."""
    job = jobs(helm.objects("default"))["pre-upgrade"]
    steps = ["login admin --password-stdin", "cluster check", "--timeout 60 cluster scale-to 3"]
    assert run_script(tmp_path, job) == (0, steps)
    for number, fails in enumerate(("login", "check", "scale-to"), start=1):
        (tmp_path / "calls").unlink()
        status, calls = run_script(tmp_path, job, fails=fails)
        assert (status, calls) == (1, steps[:number])


@pytest.mark.slow
@pytest.mark.parametrize("trouble", [{"fails": "login"}, {"fails": "scale"}, {"hangs": "scale"}])
def test_a_rollback_is_not_held_up(tmp_path: Path, trouble: dict[str, str]) -> None:
    """Without a majority the Job says so and goes on within half a minute."""
    job = jobs(helm.objects("default"))["pre-rollback"]
    assert job["activeDeadlineSeconds"] <= 120
    assert run_script(tmp_path, job, **trouble)[0] == 0


def test_before_a_rollback_who_goes_is_removed_and_nobody_is_asked_how_they_are(
    tmp_path: Path,
) -> None:
    """Helm runs the Job of the revision that returns, with that revision's number of members."""
    job = jobs(helm.parsed({"replicaCount": 5}))["pre-rollback"]
    status, calls = run_script(tmp_path, job)
    assert status == 0
    assert calls == [
        "--timeout 10 login admin --password-stdin",
        "--timeout 15 cluster scale-to 5",
    ]


def test_both_jobs_run_in_the_same_pod() -> None:
    """The Jobs differ in name and command only."""
    before_upgrade, before_rollback = jobs(helm.objects("own")).values()
    for job in (before_upgrade, before_rollback):
        assert job["backoffLimit"] == 0
    [own], [other] = (
        job["template"]["spec"]["containers"] for job in (before_upgrade, before_rollback)
    )
    known = {"name", "command"}
    assert {key: own[key] for key in own.keys() - known} == {
        key: other[key] for key in other.keys() - known
    }
    rest = [
        {key: value for key, value in job["template"]["spec"].items() if key != "containers"}
        for job in (before_upgrade, before_rollback)
    ]
    assert rest[0] == rest[1]


def test_a_pod_that_runs_once_runs_where_gateways_may() -> None:
    """Elsewhere the pod would wait for ever: nodes may be tainted or of another kind."""
    placement = {key: helm.OWN[key] for key in PLACEMENT}
    once = [one for one in pods(helm.parsed({"gateway": placement})) if not one.lasting]
    assert len(once) == 3
    for pod in once:
        assert {key: pod.spec.get(key) for key in placement} == placement, pod.name


@pytest.mark.slow
class TestBesideARelease:
    """The rendering depends on the objects of a release that runs."""

    @pytest.mark.parametrize(
        ("replicas", "require", "expected"),
        [(3, True, True), (3, False, False), (1, False, False), (5, False, True), (0, True, False)],
    )
    def test_nobody_is_asked_where_health_is_not_required_and_nobody_goes(
        self, tmp_path: Path, replicas: int, *, require: bool, expected: bool
    ) -> None:
        """An upgrade that mends members that are down must get through without a majority."""
        values = {"upgrade": {"requireHealthy": require}}
        found = jobs(upgraded(tmp_path, running({}, replicas=replicas), values))
        assert ("pre-upgrade" in found) == expected
        assert "pre-rollback" in found  # of the revision that this becomes

    def test_a_pause_asks_nobody(self, tmp_path: Path) -> None:
        """A pause removes no voters."""
        assert jobs(upgraded(tmp_path, running({}), {"replicaCount": 0})) == {}

    @pytest.mark.parametrize(
        ("persistence", "said"),
        [
            ({"size": "9Gi"}, '9Gi of storage class "", .* has 8Gi of ""'),
            ({"storageClass": "fast"}, '8Gi of storage class "fast", .* has 8Gi of ""'),
        ],
    )
    def test_other_volumes_than_those_that_are_there_are_refused(
        self, tmp_path: Path, persistence: dict[str, str], said: str
    ) -> None:
        """Kubernetes would refuse the StatefulSet only after the Job has removed members."""
        with pytest.raises(helm.RenderingRefused, match=said):
            upgraded(tmp_path, running({}), {"node": {"persistence": persistence}})

    @pytest.mark.parametrize("size", ["8Gi", "8192Mi"])
    def test_a_size_is_the_same_in_another_unit(self, tmp_path: Path, size: str) -> None:
        """Kubernetes returns a size in the largest unit that fits."""
        persistence = {"size": size, "storageClass": "fast"}
        there = running({"node": {"persistence": persistence | {"size": "8Gi"}}})
        assert upgraded(tmp_path, there, {"node": {"persistence": persistence}})

    @pytest.mark.parametrize(
        ("values", "said"),
        [
            ({"nameOverride": "shop"}, 'makes the members "shop", and they run as "inventory"'),
            ({"initialReplicaCount": 5}, "is 5, and the first start was of 3 members"),
            ({"initialReplicaCount": 2}, "initialReplicaCount is 2"),
            ({"node": {"persistence": {"size": "8GB"}}}, "take a size of Kubernetes"),
            ({"currency": "EUR"}, "currency is EUR, and the first start made it USD for good"),
        ],
    )
    def test_what_the_first_install_settled_is_not_changed(
        self, tmp_path: Path, values: dict[str, Any], said: str
    ) -> None:
        """Kubernetes would refuse the change after the Job, or members would roll for nothing."""
        named = {"fullnameOverride": "inventory"}
        with pytest.raises(helm.RenderingRefused, match=said):
            upgraded(tmp_path, running(named), named | values)

    @pytest.mark.parametrize("lost", ["token.key", "admin.password", ""])
    def test_keys_that_are_gone_are_not_drawn_anew(self, tmp_path: Path, lost: str) -> None:
        """Members with new keys would not talk to the members that run."""
        there = running({})
        secret = keys_of(there)
        kept = {key: value for key, value in secret["data"].items() if lost and key != lost}
        rest = [one for one in there if one is not secret]
        with pytest.raises(helm.RenderingRefused, match=f"has no {lost or 'token.key'}"):
            upgraded(tmp_path, [*rest, {**secret, "data": kept}], {})
        ours = {**secret, "metadata": {"name": "ours"}}
        assert upgraded(tmp_path, [*rest, ours], {"existingSecret": "ours"})
        same = keys_of(upgraded(tmp_path, there, {}))
        assert same["data"] == secret["data"]

    def test_the_job_asks_by_the_port_of_gateways_that_run(self, tmp_path: Path) -> None:
        """The clients' Service gets its new port only after the Job."""
        values = {"gateway": {"service": {"port": 443}}}
        found = upgraded(tmp_path, running({}), values)
        [container] = jobs(found)["pre-upgrade"]["template"]["spec"]["containers"]
        [address] = [one["value"] for one in container["env"] if one["name"] == "INVENTORY_ADDRESS"]
        name, _, port = address.partition(":")
        before, after = (
            next(
                one["spec"]
                for one in of_kind(objects, "Service")
                if one["metadata"]["name"] == name.partition(".")[0]
            )
            for objects in (running({}), found)
        )
        assert before == after
        assert int(port) in [one["port"] for one in before["ports"]]

    def test_an_autoscaler_is_not_undone(self, tmp_path: Path) -> None:
        """Helm once set the number of gateways: a spec without it would mean one gateway."""
        scaled = [
            {**one, "spec": {**one["spec"], "replicas": 4}} if is_gateway(one) else one
            for one in running({})
        ]
        automatic = {"gateway": {"autoscaling": {"enabled": True}}}
        [gateway] = [one for one in upgraded(tmp_path, scaled, automatic) if is_gateway(one)]
        assert gateway["spec"]["replicas"] == 4
        [gateway] = [one for one in helm.parsed(automatic) if is_gateway(one)]
        assert "replicas" not in gateway["spec"]

    def test_the_founders_stay_who_they_were(self, tmp_path: Path) -> None:
        """Whatever the number of members has become."""
        [members] = of_kind(upgraded(tmp_path, running({}), {"replicaCount": 5}), "StatefulSet")
        assert members["metadata"]["annotations"]["inventory/founders"] == "3"
