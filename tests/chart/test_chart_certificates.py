"""The certificates that the chart makes, and whose Secrets whom it gives them to."""

from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from pki.contexts import PkiContexts, PkiFiles
from pki.identities import parse_identity
from rendered import helm
from rendered.objects import of_kind, pods
from rendered.running import upgraded

PARTS = ("gateway", "assistant", "health", "metrics")
MEMBERS = tuple(f"inventory-node-{number}" for number in range(5))
MANAGED: dict[str, Any] = {"tls": {"certManager": {"enabled": True}}}
EXISTING: dict[str, Any] = {
    "tls": {"existingSecrets": {part: f"our-{part}" for part in ("node", *PARTS)}}
}


def secrets(found: list[dict[str, Any]]) -> dict[str, dict[str, str]]:
    """Return the data of each generated Secret of certificates."""
    made = {one["metadata"]["name"]: one["data"] for one in of_kind(found, "Secret")}
    return {name: data for name, data in made.items() if name.endswith(("-tls", "-ca"))}


@pytest.mark.parametrize("process", [*PARTS, *MEMBERS])
def test_a_process_takes_what_helm_generates(process: str, tmp_path: Path) -> None:
    """Its certificate fits its key and the authority, and names the process."""
    part = process if process in PARTS else "node"
    data = secrets(helm.objects("default"))[f"inventory-{part}-tls"]
    for name, value in data.items():
        (tmp_path / name).touch(0o600)
        (tmp_path / name).write_bytes(b64decode(value))
    certificate = tmp_path / ("tls.crt" if process in PARTS else f"{process}.crt")
    files = PkiFiles(certificate, certificate.with_suffix(".key"), tmp_path / "ca.crt")
    assert PkiContexts(files).identity == parse_identity(process)


@pytest.mark.parametrize("values", [{}, MANAGED, EXISTING], ids=["generated", "managed", "ours"])
def test_each_pod_mounts_its_own_certificates_and_no_other(values: dict[str, Any]) -> None:
    """Nobody mounts the authority, and no file is a subPath, which would never change."""
    for pod in pods(helm.parsed(values)):
        mounted = str([one for one in pod.spec.get("volumes", []) if one["name"] == "tls"])
        assert "-ca'" not in mounted
        for part in ("node", *PARTS):
            its_own = f"our-{part}" if values is EXISTING else f"inventory-{part}-"
            assert (its_own in mounted) == (pod.component == part), (pod.name, part)
        assert "subPath" not in str(pod.spec)


@pytest.mark.slow
def test_an_upgrade_keeps_certificates_and_makes_those_that_are_missing(tmp_path: Path) -> None:
    """A part that is switched on later is vouched for by the same authority."""
    there = helm.parsed({"assistant": {"enabled": False}})
    before, after = secrets(there), secrets(upgraded(tmp_path, there, {}))
    assert {name: after[name] for name in before} == before
    assert after.keys() - before.keys() == {"inventory-assistant-tls"}
    assert after["inventory-assistant-tls"]["ca.crt"] == before["inventory-ca"]["ca.crt"]


def test_cert_manager_is_asked_for_every_identity() -> None:
    """By the names that processes look for; the keys are its own, and are made anew."""
    found = helm.parsed(MANAGED)
    assert not secrets(found)
    made = {one["spec"]["secretName"]: one["spec"] for one in of_kind(found, "Certificate")}
    authority = made.pop("inventory-ca")
    assert authority["isCA"] is True
    for process in (*PARTS, *MEMBERS):
        name = process if process in MEMBERS else f"inventory-{process}"
        spec = made.pop(f"{name}-tls")
        assert spec["dnsNames"] == [parse_identity(process).dns_name]
        assert spec["issuerRef"]["name"] == "inventory-ca"
        assert {"server auth", "client auth"} <= set(spec["usages"])
    assert not made


def test_another_issuer_signs_if_it_is_named() -> None:
    """Then the release has no authority of its own."""
    issuer = {"name": "ours", "kind": "ClusterIssuer"}
    found = helm.parsed(helm.merged(MANAGED, {"tls": {"certManager": {"issuerRef": issuer}}}))
    assert not of_kind(found, "Issuer")
    for one in of_kind(found, "Certificate"):
        assert one["spec"]["issuerRef"] == {**issuer, "group": "cert-manager.io"}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"tls": {"existingSecrets": {"node": "ours"}}}, "names no Secret for gateway"),
        (helm.merged(MANAGED, EXISTING), "are both set"),
    ],
)
def test_certificates_of_two_authorities_are_refused(values: dict[str, Any], said: str) -> None:
    """Processes would not trust each other."""
    with pytest.raises(helm.RenderingRefused, match=said):
        helm.parsed(values)


def test_clients_speak_tls_where_a_secret_is_named() -> None:
    """Gateways have its key; what calls them in the cluster has its authority alone."""
    for pod in pods(helm.parsed({"gateway": {"tls": {"existingSecret": "public"}}})):
        items = [
            item["path"]
            for volume in pod.spec.get("volumes", [])
            if volume["name"] == "client-tls"
            for item in volume["secret"]["items"]
        ]
        expected = {"gateway": ["tls.crt", "tls.key"], "test": ["ca.crt"], "upgrade": ["ca.crt"]}
        assert items == expected.get(pod.component, []), pod.name
