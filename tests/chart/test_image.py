"""The image by the text of its Dockerfile, without a builder."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from dockerfile_parse import DockerfileParser
from rendered import helm
from rendered.objects import pods

ALLOWED = {
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "FROM",
    "LABEL",
    "RUN",
    "USER",
    "WORKDIR",
}
BUILDKIT = ("--mount", "--network", "--security", "<<", "--link", "--chmod")
OCI = "org.opencontainers.image."
BUILDS = re.compile(r"\b(apt|apt-get|gcc|make|install|curl|wget|git)\b")


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> list[list[tuple[str, str]]]:
    """Return the instructions before the first FROM, and the instructions of each stage."""
    path = tmp_path_factory.mktemp("image") / "Dockerfile"  # reading opens it for writing
    path.write_text((helm.ROOT / "Dockerfile").read_text())
    made: list[list[tuple[str, str]]] = [[]]
    for one in DockerfileParser(path=str(path)).structure:
        if one["instruction"] == "COMMENT":
            continue
        if one["instruction"] == "FROM":
            made.append([])
        made[-1].append((one["instruction"], one["value"]))
    return made


def labels(last: list[tuple[str, str]]) -> dict[str, str]:
    """Return the labels of a stage."""
    text = " ".join(value for instruction, value in last if instruction == "LABEL")
    return dict(re.findall(r'([\w.]+)="([^"]*)"', text))


def test_every_builder_can_build_it(stages: list[list[tuple[str, str]]]) -> None:
    """The file uses only what Docker, buildah and podman all have."""
    assert "syntax=" not in (helm.ROOT / "Dockerfile").read_text()
    for instruction, value in (one for stage in stages for one in stage):
        assert instruction in ALLOWED
        assert not any(word in value for word in BUILDKIT), value


def test_the_base_is_an_argument_of_every_stage(stages: list[list[tuple[str, str]]]) -> None:
    """A mirror is named once, for all."""
    before, *built = stages
    assert [value.partition("=")[0] for _, value in before] == ["BASE"]
    assert len(built) == 2
    for stage in built:
        assert stage[0][1].split()[0] == "${BASE}"


def test_what_is_installed_is_pinned_by_hash(stages: list[list[tuple[str, str]]]) -> None:
    """Only our own wheel has no hash, and the wheel brings no dependencies."""
    commands = [
        " ".join(part.split())
        for instruction, value in stages[1]
        if instruction == "RUN"
        for part in value.split("&&")
    ]
    installs = [part for part in commands if re.search(r"\bpip\b.* (install|wheel) ", part)]
    assert installs
    for part in installs:
        assert "--require-hashes" in part or "--no-deps" in part, part


def test_nothing_is_built_in_what_runs(stages: list[list[tuple[str, str]]]) -> None:
    """The last stage is the base without its installers, and with the first stage's result."""
    last = stages[-1]
    assert [value for name, value in last if name in ("COPY", "ADD")] == [
        "--from=build /opt/inventory /opt/inventory"
    ]
    [removal] = [value for name, value in last if name == "RUN"]
    assert removal.startswith("find ")
    assert removal.endswith("-delete")
    assert not BUILDS.search(removal)
    for tool in ("pip", "setuptools", "wheel", "ensurepip"):
        assert tool in removal


def test_it_runs_as_the_charts_user(stages: list[list[tuple[str, str]]]) -> None:
    """The user is a number, or Kubernetes cannot tell that the user is not root."""
    [user] = [value for name, value in stages[-1] if name == "USER"]
    for pod in pods(helm.objects("default")):
        security = pod.spec["securityContext"]
        assert user == f"{security['runAsUser']}:{security['runAsGroup']}"


def test_the_first_process_is_ours(stages: list[list[tuple[str, str]]]) -> None:
    """No shell stands between our process and SIGTERM."""
    for instruction in ("ENTRYPOINT", "CMD"):
        [value] = [value for name, value in stages[-1] if name == instruction]
        assert isinstance(json.loads(value), list)
    scripts = tomllib.loads((helm.ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    [entry] = [value for name, value in stages[-1] if name == "ENTRYPOINT"]
    assert json.loads(entry)[0] in scripts


def test_it_says_what_it_is(stages: list[list[tuple[str, str]]]) -> None:
    """By the labels of the OCI image specification."""
    project = tomllib.loads((helm.ROOT / "pyproject.toml").read_text())["project"]
    assert labels(stages[-1]) == {
        f"{OCI}title": project["name"],
        f"{OCI}description": project["description"],
        f"{OCI}version": project["version"],
        f"{OCI}revision": "${REVISION}",
        f"{OCI}base.name": "${BASE}",
    }
    arguments = [value.partition("=")[0] for name, value in stages[-1] if name == "ARG"]
    assert arguments == ["BASE", "REVISION"]


def test_only_what_is_copied_is_sent_to_the_builder(stages: list[list[tuple[str, str]]]) -> None:
    """The ignore file leaves out everything except what is named: no keys, data or tests."""
    first, *rest = (helm.ROOT / ".dockerignore").read_text().split()
    assert first == "*"
    sent = {line.removeprefix("!") for line in rest if line.startswith("!")}
    copied = {
        source for name, value in stages[1] if name == "COPY" for source in value.split()[:-1]
    }
    assert sent == copied
    assert {"**/tests", "**/__pycache__"} <= set(rest)
    assert all((helm.ROOT / name).exists() for name in sent)


def test_every_package_that_is_installed_is_sent() -> None:
    """The builder gets every folder that the wheel is made of."""
    built = tomllib.loads((helm.ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    for package in built["targets"]["wheel"]["packages"]:
        assert Path(package).parts[0] in {"libs", "clients", "services"}
        assert (helm.ROOT / package / "__init__.py").exists() or package.endswith("src/inventory")
