"""Processes read the variables, arguments and files that the chart gives them."""

import importlib
import json
import re
from pathlib import Path

import pytest
from inventory_cli import services
from inventory_cli.commands import app
from rendered import helm
from rendered.objects import Pod, keys_of, of_kind, pods
from service.settings import ServiceSettings
from typer.testing import CliRunner

EVERY = [
    (variant, pod)
    for variant in helm.VARIANTS
    for pod in pods(helm.objects(variant))
    if pod.spec["containers"][0].get("args", [""])[0] in services.SERVICES
]
each_service = pytest.mark.parametrize(
    "pod", [pod for _, pod in EVERY], ids=[f"{variant}-{pod.name}" for variant, pod in EVERY]
)


def environment(pod: Pod) -> dict[str, str]:
    """Return the variables of a pod's first container; the pod is the first replica."""
    found: dict[str, str] = {}
    for one in pod.spec["containers"][0]["env"]:
        value = one.get("value", f"{pod.owner['metadata']['name']}-0")
        for name, earlier in found.items():  # as the kubelet expands references
            value = value.replace(f"$({name})", earlier)
        found[one["name"]] = value
    return found


def settings_of(pod: Pod, monkeypatch: pytest.MonkeyPatch) -> type[ServiceSettings]:
    """Return the settings of the service that the pod's arguments name."""
    chosen: list[str] = []
    monkeypatch.setattr(services, "_become", chosen.append)
    done = CliRunner().invoke(app, pod.spec["containers"][0]["args"])
    assert not done.exit_code, done.output
    [module] = chosen
    config = importlib.import_module(f"{module}.config")
    [settings] = [
        one
        for one in vars(config).values()
        if isinstance(one, type)
        and issubclass(one, ServiceSettings)
        and one.__module__ == config.__name__
    ]
    return settings


@each_service
def test_every_variable_is_one_that_the_service_reads(
    pod: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A misspelt name would be silently ignored."""
    known = {f"INVENTORY_{name.upper()}" for name in settings_of(pod, monkeypatch).model_fields}
    added = {one["name"] for one in helm.OWN["extraEnv"]}
    assert environment(pod).keys() - added <= known


def test_every_setting_of_a_service_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """The chart sets the setting, or extraEnv can set it beside the chart's own variables."""
    for pod in pods(helm.objects("default")):
        if not pod.lasting:
            continue
        names = {f"INVENTORY_{name.upper()}" for name in settings_of(pod, monkeypatch).model_fields}
        unset = sorted(names - environment(pod).keys())
        extra = [{"name": name, "value": "given"} for name in unset]
        [given] = [
            one
            for one in pods(helm.parsed({pod.component: {"extraEnv": extra}}))
            if one.name == pod.name
        ]
        found = environment(given)
        assert names <= found.keys()
        assert {found[name] for name in unset} <= {"given"}


@each_service
def test_the_service_accepts_its_settings(pod: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings are complete and valid, and the service listens at the Service's port."""
    config = settings_of(pod, monkeypatch)
    for name, value in environment(pod).items():
        monkeypatch.setenv(name, value)
    read = config().model_dump()
    for name, value in read.items():
        if name.endswith("_listen"):
            host, _, port = value.rpartition(":")
            assert host == "0.0.0.0"  # noqa: S104 - in a pod of its own
            assert int(port) in pod.ports.values(), name


@each_service
def test_every_file_is_below_a_mount(pod: Pod) -> None:
    """The mount shows the key that the file's path names."""
    container = pod.spec["containers"][0]
    mounts = {one["mountPath"]: one["name"] for one in container.get("volumeMounts", [])}
    volumes = {one["name"]: one for one in pod.spec.get("volumes", [])}
    for name, value in environment(pod).items():
        if not name.endswith(("_FILE", "_DIR")):
            continue
        path = Path(value)
        [mount] = [mounts[str(above)] for above in path.parents if str(above) in mounts]
        items = volumes.get(mount, {}).get("secret", {}).get("items")
        assert items is None or path.name in [item["path"] for item in items], name


def addresses(value: str) -> list[tuple[str, int]]:
    """Return every host and port in a value."""
    found = re.findall(r"([a-z][\w.-]*\.svc\.[\w.]+):(\d+)", value)
    return [(host, int(port)) for host, port in found]


@pytest.mark.parametrize("variant", helm.VARIANTS)
def test_every_address_is_a_services(variant: str) -> None:
    """The Service is of this release and has the port; a member's address is its pod's own."""
    found = helm.objects(variant)
    ports: dict[str, set[int]] = {}
    for one in of_kind(found, "Service"):
        name = one["metadata"]["name"]
        ports[f"{name}.shop.svc.cluster.local"] = {port["port"] for port in one["spec"]["ports"]}
    [members] = of_kind(found, "StatefulSet")
    node, count = members["metadata"]["name"], members["spec"]["replicas"]
    for number in range(count):
        headless = f"{members['spec']['serviceName']}.shop.svc.cluster.local"
        ports[f"{node}-{number}.{headless}"] = ports[headless]
    for pod in pods(found):
        for container in pod.containers:
            for one in container.get("env", []):
                value = one.get("value", "").replace("$(INVENTORY_NODE_NAME)", f"{node}-0")
                for host, port in addresses(value):
                    assert port in ports[host], one
                if one["name"].endswith("_MEMBERS"):
                    named = [part.partition("=")[0] for part in one["value"].split(",")]
                    assert named == [f"{node}-{number}" for number in range(count)]


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["default", "kind"])
def test_the_first_state_is_written_with_the_charts_arguments(variant: str, tmp_path: Path) -> None:
    """The init container of a member writes it, with keys of the generated Secret."""
    [members] = of_kind(helm.objects(variant), "StatefulSet")
    secret = keys_of(helm.objects(variant))
    for key in secret["data"]:
        (tmp_path / key).touch(0o600)
        (tmp_path / key).write_text("a secret of this test alone\n")
    [container] = members["spec"]["template"]["spec"]["initContainers"]
    paths = {"/keys": str(tmp_path), "/bootstrap/": f"{tmp_path}/"}
    arguments = container["args"]
    for there, here in paths.items():
        arguments = [argument.replace(f"={there}", f"={here}") for argument in arguments]
    done = CliRunner().invoke(app, arguments)
    assert not done.exit_code, done.output
    state = json.loads((tmp_path / "bootstrap.json").read_text())
    assert {"admin", "health", "metrics"} <= {user["name"] for user in state["users"]}
    assert bool(state.get("items")) == (variant == "kind")


def test_the_tests_variables_are_the_command_lines() -> None:
    """Pods that run no service run our own command line."""
    sources = (helm.ROOT / "clients" / "cli" / "src").rglob("*.py")
    known = {
        name for path in sources for name in re.findall(r'"(INVENTORY_\w+)"', path.read_text())
    }
    others = [pod for pod in pods(helm.objects("default")) if not pod.lasting]
    assert others
    for pod in others:
        for container in pod.containers:
            assert {one["name"] for one in container["env"]} <= known
