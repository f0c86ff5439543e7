"""The gateway's internal port: who a certificate of the cluster is, and what the others get."""

import os
import signal
import subprocess
from pathlib import Path

import pkitest
import pytest
from chaos.up import ANY_PORTS, COMMAND, Up, internal_address, machine_client
from inventory_cli.up.layout import Layout
from inventory_client import (
    Inventory,
    InventoryError,
    MachineCertificate,
    NotAllowed,
    Password,
    Unauthenticated,
    Unavailable,
)
from pki.identities import Kind, ProcessIdentity

pytestmark = pytest.mark.slow
KINDS = ("health", "metrics", "assistant", "gateway", "node-0")
ONE_SECOND = 1.0  # for who is not let in at all


@pytest.mark.parametrize("name", ["health", "metrics"])
def test_a_certificate_is_its_own_machine_user(system: Up, name: str) -> None:
    """And may do what this machine user may."""
    with machine_client(system.data, name, name) as machine:
        assert machine.current_user().name == name
        with pytest.raises(NotAllowed):
            list(machine.orders())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["health", "metrics", "admin", "Gayathri", "assistant", "nobody"])
def test_a_certificate_is_nobody_else(system: Up, kind: str, name: str) -> None:
    """No process is a person, and none is another process."""
    if kind == name and kind in {"health", "metrics"}:
        return
    with (
        machine_client(system.data, kind, name) as machine,
        pytest.raises(Unauthenticated) as told,
    ):
        machine.current_user()
    assert told.value.reason == "INVALID_CREDENTIALS"


def test_who_has_no_certificate_of_the_cluster_is_not_let_in(system: Up) -> None:
    """Whatever its certificate says, and without one as well."""
    foreign = pkitest.folder("another").keep(ProcessIdentity(Kind.HEALTH))
    stranger = machine_client(system.data, "health", "health", foreign, ONE_SECOND)
    with stranger, pytest.raises(Unavailable):
        stranger.current_user()
    address, trusted = internal_address(system.data), Layout(system.data).pki.trusted_path
    for ca_file in (trusted, None):
        with (
            Inventory(address, timeout=ONE_SECOND, ca_file=ca_file) as nobody,
            pytest.raises(Unavailable),
        ):
            nobody.login("Gayathri", "password1")


@pytest.mark.parametrize("name", ["health", "metrics"])
def test_a_machine_user_has_no_password(system: Up, name: str) -> None:
    """The port for clients knows no certificates, and no key of a machine user is kept."""
    for auth in (MachineCertificate(name), Password(name, ""), Password(name, "password1")):
        with Inventory(system.address, auth) as machine, pytest.raises(InventoryError):
            machine.current_user()
    assert not (system.data / "keys" / f"{name}.key").exists()


def test_up_serves_clients_by_tls(tmp_path: Path) -> None:
    """The line that says `ready` has what a client needs to trust the gateway."""
    data = tmp_path / "data"
    process = subprocess.Popen(  # noqa: S603 - our own command
        [*COMMAND, "--tls", "--data", str(data), "--port", "0"],
        env=os.environ | ANY_PORTS,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        ready = next(line for line in process.stdout if line.startswith("ready:"))
        try:
            words = ready.split("`")[1].split()
            address, ca_file = (words[words.index(name) + 1] for name in ("--address", "--ca-file"))
            assert ca_file == str(Layout(data).pki.trusted_path)
            with Inventory(address, ("Gayathri", "password1"), ca_file=ca_file) as customer:
                assert customer.order_item(1, 1).order_id
                assert customer.ask("show items under 500").understood
            with Inventory(address, timeout=ONE_SECOND) as plain, pytest.raises(Unavailable):
                plain.login("Gayathri", "password1")
        finally:
            process.send_signal(signal.SIGINT)
            process.stdout.read()
    assert process.returncode == 0
