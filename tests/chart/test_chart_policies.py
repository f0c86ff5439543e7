"""Rules that hold for every object of every variant of the chart."""

import re
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import yaml
from gateway.runtime.server import CONNECTION_SECONDS, DRAIN_SECONDS
from rendered import helm
from rendered.objects import LASTING, Pod, chosen_by, is_hook, of_kind, pods

STOP_SECONDS = 5
PRE_STOP_SECONDS = 5
HEARD_SECONDS = 1  # until no connection to a pod that is going is made any more
LOST_NODE_SECONDS = 10
LOST_NODE = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
PROBES = {"startupProbe": "startup", "livenessProbe": "liveness", "readinessProbe": "readiness"}
PATHS = {"startupProbe": "/livez", "livenessProbe": "/livez", "readinessProbe": "/readyz"}
# What the restricted standard of Pod Security lets a pod mount.
RESTRICTED_VOLUMES = {
    *("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral"),
    *("persistentVolumeClaim", "projected", "secret"),
}
FORBIDDEN_OF_A_POD = ("hostNetwork", "hostPID", "hostIPC", "hostUsers", "sysctls")


@pytest.fixture(params=helm.VARIANTS)
def found(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    """Return the objects of one variant."""
    return helm.objects(request.param)


def everywhere() -> list[tuple[str, Pod]]:
    """Return every pod of every variant."""
    return [(variant, pod) for variant in helm.VARIANTS for pod in pods(helm.objects(variant))]


def each_of(cases: list[tuple[str, Pod]]) -> pytest.MarkDecorator:
    """Ask a class of tests about each pod of some."""
    return pytest.mark.parametrize(
        "pod", [pod for _, pod in cases], ids=[f"{variant}-{pod.name}" for variant, pod in cases]
    )


@each_of(everywhere())
class TestEveryPod:
    """Rules for every pod, the pods of hooks and tests included."""

    def test_may_run_under_restricted_pod_security(self, pod: Pod) -> None:
        """Nobody is root, nothing of the host is seen, only harmless volumes are mounted."""
        for name in FORBIDDEN_OF_A_POD:
            assert name not in pod.spec
        security = pod.spec["securityContext"]
        assert security["runAsNonRoot"] is True
        assert security["runAsUser"] > 0
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        for volume in pod.spec.get("volumes", []):
            assert volume.keys() - {"name"} <= RESTRICTED_VOLUMES
        for container in pod.containers:
            own = container["securityContext"]
            assert own["allowPrivilegeEscalation"] is False
            assert own["capabilities"] == {"drop": ["ALL"]}
            assert own.keys() <= {
                *("allowPrivilegeEscalation", "capabilities", "readOnlyRootFilesystem"),
            }
            assert not any("hostPort" in port for port in container.get("ports", []))

    def test_writes_only_to_volumes(self, pod: Pod) -> None:
        """The root filesystem of a container is read-only."""
        for container in pod.containers:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True

    def test_has_no_token_of_the_cluster(self, pod: Pod) -> None:
        """Nothing here talks to the API of Kubernetes."""
        assert pod.spec["automountServiceAccountToken"] is False
        assert pod.spec["serviceAccountName"] != "default"

    def test_is_not_told_of_services_by_its_environment(self, pod: Pod) -> None:
        """A Service named `inventory-…` would set variables with our own prefix."""
        assert pod.spec["enableServiceLinks"] is False

    def test_says_what_it_needs(self, pod: Pod) -> None:
        """Memory has a limit; CPU has none, since a throttled member looks like a dead member."""
        for container in pod.containers:
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}
            assert "memory" in container["resources"]["limits"]
            assert "cpu" not in container["resources"]["limits"]

    def test_runs_the_one_image_by_a_version(self, pod: Pod) -> None:
        """A moving tag would be another image tomorrow."""
        for container in pod.containers:
            assert re.fullmatch(r"[\w./:-]+:[\w.-]+", container["image"])
            assert not container["image"].endswith(":latest")
            assert container["image"] == pod.containers[0]["image"]
            assert container["imagePullPolicy"] == "IfNotPresent"

    def test_mounts_what_is_there_and_uses_what_it_mounts(self, pod: Pod) -> None:
        """A volume without a mount and a mount without a volume are mistakes."""
        claims = pod.owner.get("spec", {}).get("volumeClaimTemplates", [])
        there = {one["name"] for one in pod.spec.get("volumes", [])}
        there |= {one["metadata"]["name"] for one in claims}
        mounts = [one for container in pod.containers for one in container.get("volumeMounts", [])]
        assert {one["name"] for one in mounts} == there

    def test_each_container_has_the_keys_that_it_uses_and_no_other(self, pod: Pod) -> None:
        """The first state is made of three passwords; others name each key by its path."""
        keys = {
            volume["name"]: {one["path"] for one in volume["secret"]["items"]}
            for volume in pod.spec.get("volumes", [])
            if "keys" in volume["name"]
        }
        for container in pod.containers:
            mounts = [one["name"] for one in container.get("volumeMounts", [])]
            had = {key for name in mounts for key in keys.get(name, ())}
            used = set(re.findall(r"/keys/([a-z.]+)", yaml.safe_dump(container)))
            if "--keys=/keys" in container.get("args", ()):
                used = {"admin.password"}
            assert had == used, container["name"]

    def test_does_not_write_where_it_only_reads(self, pod: Pod) -> None:
        """Secrets and settings are mounted read-only, and only the pod's group can read them."""
        secret = {one["name"] for one in pod.spec.get("volumes", []) if "secret" in one}
        for volume in pod.spec.get("volumes", []):
            if "secret" in volume:
                assert volume["secret"]["defaultMode"] == 0o440
        for container in pod.containers:
            for mount in container.get("volumeMounts", []):
                assert mount["name"] not in secret or mount["readOnly"] is True


@each_of([case for case in everywhere() if case[1].lasting])
class TestEveryService:
    """Rules for the parts that run for good: Deployments and the StatefulSet."""

    def test_is_probed_under_three_names(self, pod: Pod) -> None:
        """Probes use gRPC health, or HTTP where a part serves HTTP, and bear a busy machine."""
        for container in pod.spec["containers"]:
            for probe, name in PROBES.items():
                asked = container[probe]
                assert asked["timeoutSeconds"] >= 3
                if "httpGet" in asked:
                    assert asked["httpGet"] == {"path": PATHS[probe], "port": "http"}
                    assert "http" in pod.ports
                else:
                    assert asked["grpc"] == {"service": name, "port": pod.ports["grpc"]}

    def test_is_given_the_time_to_start_before_it_is_taken_for_dead(self, pod: Pod) -> None:
        """A minute at least: liveness is not asked before startup is true."""
        for container in pod.spec["containers"]:
            startup, liveness = container["startupProbe"], container["livenessProbe"]
            assert startup["failureThreshold"] * startup.get("periodSeconds", 10) >= 60
            # A process that is stopped for half a minute is not killed for it.
            assert liveness["failureThreshold"] * liveness.get("periodSeconds", 10) >= 30

    def test_is_selected_by_its_own_labels(self, pod: Pod) -> None:
        """The labels name the release and the part."""
        selector = pod.owner["spec"]["selector"]
        assert chosen_by(selector, pod.labels)
        assert selector["matchLabels"].keys() == {
            *("app.kubernetes.io/name", "app.kubernetes.io/instance"),
            "app.kubernetes.io/component",
        }

    def test_selects_no_pod_of_another(self, pod: Pod) -> None:
        """Of no variant."""
        for _, other in everywhere():
            if other.component != pod.component:
                assert not chosen_by(pod.owner["spec"]["selector"], other.labels)

    def test_leaves_a_lost_node_soon(self, pod: Pod) -> None:
        """A Deployment's pod leaves after 10 s; a member waits for the node of its volume."""
        bounds = {
            one["key"]: one["tolerationSeconds"]
            for one in pod.spec.get("tolerations", [])
            if one.get("effect") == "NoExecute"
        }
        lost = dict.fromkeys(LOST_NODE, LOST_NODE_SECONDS)
        assert bounds == (lost if pod.owner["kind"] == "Deployment" else {})

    def test_sleeps_before_its_end_only_where_clients_come_in(self, pod: Pod) -> None:
        """Gateways, until clients have heard; a member hands over at once. The grace is longer."""
        for container in pod.spec["containers"]:
            hooks = container.get("lifecycle", {})
            if pod.component != "gateway":
                assert not hooks
                continue
            assert hooks == {"preStop": {"sleep": {"seconds": PRE_STOP_SECONDS}}}
            [leaves] = [
                float(one["value"])
                for one in container["env"]
                if one["name"] == "INVENTORY_GATEWAY_LEAVE_SECONDS"
            ]
            ages = CONNECTION_SECONDS * 1.1 + HEARD_SECONDS
            assert ages <= PRE_STOP_SECONDS + leaves
            ends = PRE_STOP_SECONDS + leaves + DRAIN_SECONDS
            assert pod.spec["terminationGracePeriodSeconds"] > ends

    def test_has_time_left_when_it_has_waited_to_leave(self, pod: Pod) -> None:
        """A member has time to hand over and to flush before it is killed."""
        for one in (one for container in pod.spec["containers"] for one in container["env"]):
            if one["name"] == "INVENTORY_NODE_LEAVE_SECONDS":
                left = pod.spec["terminationGracePeriodSeconds"] - float(one["value"])
                assert left >= STOP_SECONDS
                return
        assert pod.component != "node"

    def test_is_spread_over_nodes_when_there_are_several(self, pod: Pod) -> None:
        """The spread counts pods by the part's own labels."""
        if pod.owner["spec"].get("replicas", 2) == 1:
            return
        rules = pod.spec["topologySpreadConstraints"]
        assert "kubernetes.io/hostname" in [one["topologyKey"] for one in rules]
        for rule in rules:
            assert rule["maxSkew"] == 1
            assert chosen_by(rule["labelSelector"], pod.labels)
            assert rule["labelSelector"]["matchLabels"]["app.kubernetes.io/component"] == (
                pod.component
            )


class TestEveryRelease:
    """Rules for the objects of a release together."""

    def test_what_is_selected_is_there(self, found: list[dict[str, Any]]) -> None:
        """A Service, budget, policy or monitor that selects no pod is a mistake."""
        every = pods(found)
        for one in of_kind(found, "Service"):
            assert [
                pod
                for pod in every
                if chosen_by({"matchLabels": one["spec"]["selector"]}, pod.labels)
            ]
        for one in of_kind(found, "PodDisruptionBudget"):
            assert [pod for pod in every if chosen_by(one["spec"]["selector"], pod.labels)]
        for one in of_kind(found, "NetworkPolicy"):
            assert [pod for pod in every if chosen_by(one["spec"]["podSelector"], pod.labels)]

    def test_what_is_watched_is_there(self, found: list[dict[str, Any]]) -> None:
        """Each selected Service has the port, and every lasting pod is behind a Service."""
        for one in of_kind(found, "ServiceMonitor"):
            services = [
                service
                for service in of_kind(found, "Service")
                if chosen_by(one["spec"]["selector"], service["metadata"]["labels"])
            ]
            assert services
            for service in services:
                names = {port["name"] for port in service["spec"]["ports"]}
                assert {endpoint["port"] for endpoint in one["spec"]["endpoints"]} <= names
            behind = {
                pod.name
                for pod in pods(found)
                for service in services
                if chosen_by({"matchLabels": service["spec"]["selector"]}, pod.labels)
            }
            assert behind == {pod.name for pod in pods(found) if pod.lasting}

    def test_every_port_of_a_service_is_its_pods(self, found: list[dict[str, Any]]) -> None:
        """A Service names its pods' ports by their names."""
        for one in of_kind(found, "Service"):
            for pod in pods(found):
                if chosen_by({"matchLabels": one["spec"]["selector"]}, pod.labels):
                    assert {port["targetPort"] for port in one["spec"]["ports"]} <= pod.ports.keys()

    def test_every_service_of_pods_selects_one_part(self, found: list[dict[str, Any]]) -> None:
        """A pod of another part behind the Service could not answer."""
        for one in of_kind(found, "Service"):
            selector = {"matchLabels": one["spec"]["selector"]}
            assert len({p.component for p in pods(found) if chosen_by(selector, p.labels)}) == 1

    def test_what_is_named_is_there(self, found: list[dict[str, Any]]) -> None:
        """Service accounts, secrets, keys, maps, Services and scale targets exist."""
        names = {(one["kind"], one["metadata"]["name"]): one for one in found}
        for pod in pods(found):
            assert ("ServiceAccount", pod.spec["serviceAccountName"]) in names
            for volume in pod.spec.get("volumes", []):
                if "configMap" in volume:
                    assert ("ConfigMap", volume["configMap"]["name"]) in names
                made = names.get(("Secret", volume.get("secret", {}).get("secretName")))
                if made:
                    items = volume["secret"].get("items", [])
                    assert {item["key"] for item in items} <= made["data"].keys()
        for one in of_kind(found, "StatefulSet"):
            assert ("Service", one["spec"]["serviceName"]) in names
        for one in of_kind(found, "HorizontalPodAutoscaler"):
            target = one["spec"]["scaleTargetRef"]
            assert "replicas" not in names[target["kind"], target["name"]]["spec"]

    def test_disruptions_take_one_at_a_time(self, found: list[dict[str, Any]]) -> None:
        """A part with several pods has a budget; a part with one pod has none."""
        budgets = of_kind(found, "PodDisruptionBudget")
        for one in budgets:
            assert one["spec"]["maxUnavailable"] == 1
            assert one["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
        for pod in pods(found):
            if pod.lasting:
                own = [one for one in budgets if chosen_by(one["spec"]["selector"], pod.labels)]
                several = pod.owner["spec"].get("replicas", 2) > 1
                assert len(own) == several, pod.name

    def test_everything_says_whose_it_is(self, found: list[dict[str, Any]]) -> None:
        """Every object has the labels that Helm recommends."""
        for one in found:
            assert one["metadata"]["labels"].keys() >= {
                *("helm.sh/chart", "app.kubernetes.io/name", "app.kubernetes.io/instance"),
                *("app.kubernetes.io/version", "app.kubernetes.io/managed-by"),
            }
            assert "namespace" not in one["metadata"]

    def test_jobs_of_hooks_go_when_they_succeed(self, found: list[dict[str, Any]]) -> None:
        """And the next run does not stumble over the one before.

        The pod of `helm test` stays: `helm test --logs` reads its log when it has succeeded.
        """
        for one in filter(is_hook, found):
            when = one["metadata"]["annotations"]["helm.sh/hook-delete-policy"].split(",")
            goes = {"hook-succeeded"} if one["kind"] == "Job" else set()
            assert set(when) == {"before-hook-creation"} | goes

    def test_accounts_have_no_token_by_themselves(self, found: list[dict[str, Any]]) -> None:
        """Nor may anybody do anything in the cluster."""
        for one in of_kind(found, "ServiceAccount"):
            assert one["automountServiceAccountToken"] is False
        assert not of_kind(found, "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")

    def test_members_start_together_and_find_each_other_unready(
        self, found: list[dict[str, Any]]
    ) -> None:
        """The headless Service gives each member a DNS name before the member is ready."""
        [members] = of_kind(found, "StatefulSet")
        [service] = [
            one
            for one in of_kind(found, "Service")
            if one["metadata"]["name"] == members["spec"]["serviceName"]
        ]
        assert service["spec"]["clusterIP"] == "None"
        assert service["spec"]["publishNotReadyAddresses"] is True
        assert members["spec"]["podManagementPolicy"] == "Parallel"


def members_max() -> int:
    """Return the most members that the chart takes."""
    taken = []
    for count in range(1, 10):
        with suppress(helm.RenderingRefused):
            helm.render({"replicaCount": count})
            taken.append(count)
    assert taken == [1, 3, 5]
    return taken[-1]


def test_members_share_no_node_in_production() -> None:
    """In production the rule is hard; in other values it is a preference."""
    for variant, rule in (("production", "DoNotSchedule"), ("kind", "ScheduleAnyway")):
        [members] = of_kind(helm.objects(variant), "StatefulSet")
        [by_node] = [
            one
            for one in members["spec"]["template"]["spec"]["topologySpreadConstraints"]
            if one["topologyKey"] == "kubernetes.io/hostname"
        ]
        assert by_node["whenUnsatisfiable"] == rule
        # With fewer nodes than members the last one waits: an even spread would allow 2 and 1.
        # The most that there may be, since a pod must not roll where their number changes.
        assert by_node.get("minDomains") == (members_max() if variant == "production" else None)


def test_health_runs_on_different_nodes_in_production() -> None:
    """A health pod that dies with a member's node cannot report the member's death."""
    [health] = [pod for pod in pods(helm.objects("production")) if pod.component == "health"]
    assert health.owner["spec"]["replicas"] == 2
    rules = {one["topologyKey"]: one for one in health.spec["topologySpreadConstraints"]}
    assert rules["kubernetes.io/hostname"]["whenUnsatisfiable"] == "DoNotSchedule"
    assert rules["kubernetes.io/hostname"]["minDomains"] == 2


def test_the_image_is_the_charts_version() -> None:
    """Which is the version of the whole."""
    project = tomllib.loads((helm.ROOT / "pyproject.toml").read_text())["project"]
    chart = yaml.safe_load((helm.CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == project["version"]
    images = {
        container["image"] for pod in pods(helm.objects("default")) for container in pod.containers
    }
    assert images == {f"inventory:{project['version']}"}
    named = helm.parsed({"image": {"repository": "example.org/shop/inventory", "tag": "1.2"}})
    for one in pods(named):
        assert one.containers[0]["image"] == "example.org/shop/inventory:1.2"


def selectors(found: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every selector of pods, with the name of the object that has the selector."""
    for one in found:
        spec, name = one.get("spec") or {}, f"{one['kind']}/{one['metadata']['name']}"
        if one["kind"] == "Service":
            yield name, {"matchLabels": spec["selector"]}
        elif one["kind"] in (*LASTING, "PodDisruptionBudget"):
            yield name, spec["selector"]
        elif one["kind"] == "NetworkPolicy":
            yield name, spec["podSelector"]
            for rule in [*(spec.get("ingress") or []), *(spec.get("egress") or [])]:
                for peer in [*rule.get("from", []), *rule.get("to", [])]:
                    if "namespaceSelector" not in peer:
                        yield name, peer["podSelector"]


def test_two_releases_in_one_namespace_are_strangers() -> None:
    """No object has a name of the other release, and no selector selects the other's pods."""
    first = helm.parsed(helm.values_of("all"), name="first")
    second = helm.parsed(helm.values_of("all"), name="second")
    names = [{(one["kind"], one["metadata"]["name"]) for one in found} for found in (first, second)]
    assert not names[0] & names[1]
    assert len(list(selectors(first))) > len(pods(first))
    watched = [one["spec"]["selector"] for one in of_kind(first, "ServiceMonitor")]
    assert watched
    for selector in watched:
        for one in of_kind(second, "Service"):
            assert not chosen_by(selector, one["metadata"]["labels"])
    for name, selector in selectors(first):
        assert not [pod.name for pod in pods(second) if chosen_by(selector, pod.labels)], name


def test_the_longest_name_of_a_release_is_not_too_long() -> None:
    """Helm allows 53 characters; a StatefulSet's name with a hash is a label of 63."""
    for one in helm.parsed({}, name="r" * 53):
        longest = 253 if one["kind"] == "Secret" else 52
        assert len(one["metadata"]["name"]) <= longest, one["kind"]
        for value in one["metadata"]["labels"].values():
            assert len(value) <= 63
