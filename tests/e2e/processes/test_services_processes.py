"""The gateway, the assistant and metrics as processes: their starts, refusals and ends."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc
import pkitest
import pytest
from chaos.ports import free_port
from chaos.up import PROXIES, PROXY, ROOT, Up, internal_address
from grpc_health.v1 import health_pb2, health_pb2_grpc
from inventory.v1 import assistant_pb2, assistant_pb2_grpc
from inventory_cli.up.layout import PROCESSES, Layout, signing_key, tls_settings
from inventory_client import Inventory, Unavailable
from pki.identities import parse_identity
from wire.channels import authorization

pytestmark = pytest.mark.slow
SECONDS_MAX = 60  # no busy machine needs so long
OF_EVERY_PROCESS = "inventory_internal_errors_total"


class Service:
    """One process with its settings and its output."""

    def __init__(self, module: str, settings: Mapping[str, str]) -> None:
        """Run the process."""
        self.process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", module],
            env={key: value for key, value in os.environ.items() if "INVENTORY" not in key}
            | dict(settings),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ended(self) -> tuple[int, str]:
        """Wait for the end of the process; return its exit status and its errors."""
        _, errors = self.process.communicate(timeout=SECONDS_MAX)
        return self.process.returncode, errors

    def stop(self) -> int:
        """Send SIGTERM; return the exit status."""
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=SECONDS_MAX)
        return self.process.returncode


def health_of(address: str, name: str = "") -> int:
    """Ask, and wait until somebody answers; return a `HealthCheckResponse.ServingStatus`."""
    with grpc.insecure_channel(address) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        answer = stub.Check(
            health_pb2.HealthCheckRequest(service=name), wait_for_ready=True, timeout=SECONDS_MAX
        )
    return int(answer.status)


@pytest.fixture
def gateway_settings(tmp_path: Path) -> dict[str, str]:
    """Return settings of a gateway whose members are not there."""
    (tmp_path / "token.key").touch(0o600)
    (tmp_path / "token.key").write_text(signing_key())
    (tmp_path / "no.key").touch(0o600)
    (tmp_path / "no.key").write_text("a secret of this test alone\n")
    members = ",".join(f"node-{number}=127.0.0.1:{free_port()}" for number in range(3))
    return {
        "INVENTORY_GATEWAY_LISTEN": f"127.0.0.1:{free_port()}",
        "INVENTORY_GATEWAY_INTERNAL_LISTEN": f"127.0.0.1:{free_port()}",
        "INVENTORY_GATEWAY_MEMBERS": members,
        "INVENTORY_TOKEN_KEY_FILE": str(tmp_path / "token.key"),
        **tls_settings(pkitest.folder().keep(parse_identity("gateway"))),
    }


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("INVENTORY_GATEWAY_LISTEN", "nonsense", "is not host:port"),
        ("INVENTORY_GATEWAY_LISTEN", "127.0.0.1:99999", "is not host:port"),
        ("INVENTORY_GATEWAY_MEMBERS", "", "INVENTORY_GATEWAY_MEMBERS"),
        ("INVENTORY_TOKEN_KEY_FILE", "/nowhere/token.key", "cannot be read"),
        ("INVENTORY_TOKEN_KEY_FILE", "{folder}/no.key", "something else than private keys"),
        ("INVENTORY_TLS_KEY_FILE", os.devnull, "is empty"),
        ("INVENTORY_TLS_CERTIFICATE_FILE", os.devnull, "certificate cannot be read"),
        ("INVENTORY_TLS_TRUSTED_FILE", "/nowhere/ca.pem", "cannot be read"),
    ],
)
def test_a_gateway_refuses_nonsense_in_one_line(
    gateway_settings: dict[str, str], name: str, value: str, said: str
) -> None:
    """Exit status 2, and which setting."""
    folder = Path(gateway_settings["INVENTORY_TOKEN_KEY_FILE"]).parent
    given = {name: value.format(folder=folder)}
    status, errors = Service("gateway", gateway_settings | given).ended()
    assert status == 2
    assert errors.startswith("gateway: ")
    assert said in errors
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    "name",
    ["INVENTORY_GATEWAY_LISTEN", "INVENTORY_GATEWAY_INTERNAL_LISTEN", "INVENTORY_METRICS_LISTEN"],
)
def test_a_gateway_says_that_an_address_is_taken(
    system: Up, gateway_settings: dict[str, str], name: str
) -> None:
    """Exit status 6."""
    status, errors = Service("gateway", gateway_settings | {name: system.address}).ended()
    assert status == 6
    assert f"cannot listen on {system.address}" in errors.splitlines()[-1]


def test_a_gateway_without_members_is_there_and_says_so(gateway_settings: dict[str, str]) -> None:
    """A call waits for a leader until the call's deadline, and ends as UNAVAILABLE."""
    gateway = Service("gateway", gateway_settings)
    address = gateway_settings["INVENTORY_GATEWAY_LISTEN"]
    try:
        assert health_of(address) == health_pb2.HealthCheckResponse.SERVING
        for name in ("reads", "writes"):
            assert health_of(address, name) == health_pb2.HealthCheckResponse.NOT_SERVING
        with Inventory(address, timeout=1) as client, pytest.raises(Unavailable):
            client.login("Gayathri", "password1")
    finally:
        assert gateway.stop() == 0


def test_a_proxy_of_the_machine_is_asked_for_nothing(
    system: Up, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Members, gateway, assistant and client reach one another, and not by the proxy."""
    for name in PROCESSES:
        pid = (system.data / "run" / f"{name}.pid").read_text().strip()
        environment = Path(f"/proc/{pid}/environ").read_text().split("\0")
        assert f"https_proxy={PROXY}" in environment, name
        assert not any(one.startswith("no_proxy=1") for one in environment), name
    for name, value in PROXIES.items():
        monkeypatch.setenv(name, value)
    with Inventory(system.address) as client:
        client.login("Gayathri", "password1")
        assert client.order_item(1, 1).order_id
        assert client.ask("show items under 500").understood


def test_a_gateway_finds_the_leader_by_itself(system: Up, gateway_settings: dict[str, str]) -> None:
    """A second gateway on the same members, with the same keys."""
    members = ",".join(
        f"{member.name}={member.address}" for member in system.watcher.status().members
    )
    keys = system.data / "keys"
    own = gateway_settings | {
        "INVENTORY_GATEWAY_MEMBERS": members,
        "INVENTORY_TOKEN_KEY_FILE": str(keys / "token.key"),
        **tls_settings(Layout(system.data).pki.files(parse_identity("gateway"))),
    }
    gateway = Service("gateway", own)
    address = own["INVENTORY_GATEWAY_LISTEN"]
    try:
        assert health_of(address) == health_pb2.HealthCheckResponse.SERVING
        with Inventory(address, timeout=SECONDS_MAX) as client:
            client.login("Gayathri", "password1")
            assert client.order_item(1, 1).order_id
    finally:
        assert gateway.stop() == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [("INVENTORY_ASSISTANT_LISTEN", "nonsense"), ("INVENTORY_ASSISTANT_GATEWAY", "host:no")],
)
def test_an_assistant_refuses_nonsense_in_one_line(name: str, value: str) -> None:
    """Exit status 2, and which setting."""
    settings = {
        "INVENTORY_ASSISTANT_LISTEN": "127.0.0.1:1",
        "INVENTORY_ASSISTANT_GATEWAY": "127.0.0.1:1",
        **tls_settings(pkitest.folder().keep(parse_identity("assistant"))),
    }
    status, errors = Service("assistant", settings | {name: value}).ended()
    assert status == 2
    assert errors.startswith(f"assistant: {name}: ")
    assert errors.count("\n") == 1


@pytest.mark.parametrize("name", ["INVENTORY_ASSISTANT_LISTEN", "INVENTORY_METRICS_LISTEN"])
def test_an_assistant_says_that_an_address_is_taken(system: Up, name: str) -> None:
    """Exit status 6."""
    settings = {
        "INVENTORY_ASSISTANT_LISTEN": f"127.0.0.1:{free_port()}",
        "INVENTORY_ASSISTANT_GATEWAY": system.address,
        **tls_settings(pkitest.folder().keep(parse_identity("assistant"))),
    }
    status, errors = Service("assistant", settings | {name: system.address}).ended()
    assert status == 6
    assert f"cannot listen on {system.address}" in errors.splitlines()[-1]


@pytest.fixture
def metrics_settings() -> dict[str, str]:
    """Return settings of a metrics service whose gateway is not there."""
    return {
        "INVENTORY_METRICS_LISTEN": f"127.0.0.1:{free_port()}",
        "INVENTORY_METRICS_GATEWAY": f"127.0.0.1:{free_port()}",
        **tls_settings(pkitest.folder().keep(parse_identity("metrics"))),
    }


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("INVENTORY_METRICS_LISTEN", "", "is not host:port"),
        ("INVENTORY_METRICS_GATEWAY", "nonsense", "is not host:port"),
        ("INVENTORY_TLS_KEY_FILE", "/nowhere/metrics.key", "cannot be read"),
        ("INVENTORY_TLS_KEY_FILE", os.devnull, "is empty"),
    ],
)
def test_a_metrics_service_refuses_nonsense_in_one_line(
    metrics_settings: dict[str, str], name: str, value: str, said: str
) -> None:
    """Exit status 2, and which setting."""
    status, errors = Service("business_metrics", metrics_settings | {name: value}).ended()
    assert status == 2
    assert errors.startswith("metrics: ")
    assert said in errors
    assert errors.count("\n") == 1


def test_a_metrics_service_says_that_an_address_is_taken(
    system: Up, metrics_settings: dict[str, str]
) -> None:
    """Exit status 6."""
    taken = {"INVENTORY_METRICS_LISTEN": system.address}
    status, errors = Service("business_metrics", metrics_settings | taken).ended()
    assert status == 6
    assert f"cannot listen on {system.address}" in errors.splitlines()[-1]


def page_of(address: str) -> str:
    """Return the metrics page at an address as soon as the page is served."""
    deadline = time.monotonic() + SECONDS_MAX
    while True:
        try:
            with urllib.request.urlopen(f"http://{address}/metrics", timeout=SECONDS_MAX) as page:
                return str(page.read().decode())
        except urllib.error.URLError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def served(text: str) -> dict[str, float]:
    """Return the samples of a metrics page: each series with its value."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {series: float(value) for series, _, value in (line.rpartition(" ") for line in lines)}


def test_a_metrics_service_without_a_gateway_says_so(metrics_settings: dict[str, str]) -> None:
    """The service serves its page, without the series that the gateway would give."""
    service = Service("business_metrics", metrics_settings)
    try:
        samples = served(page_of(metrics_settings["INVENTORY_METRICS_LISTEN"]))
        assert samples['inventory_metrics_read_success{read="status"}'] == 0
        assert samples['inventory_metrics_read_success{read="stats"}'] == 0
        assert {series.partition("{")[0] for series in samples} == {
            "inventory_metrics_read_success",
            "inventory_metrics_read_seconds",
            OF_EVERY_PROCESS,
        }
    finally:
        assert service.stop() == 0


def test_a_metrics_service_serves_what_is_documented(
    system: Up, metrics_settings: dict[str, str]
) -> None:
    """The page has exactly the names of docs/metrics.md, and the API's totals."""
    own = metrics_settings | {
        "INVENTORY_METRICS_GATEWAY": internal_address(system.data),
        **tls_settings(Layout(system.data).pki.files(parse_identity("metrics"))),
    }
    with Inventory(system.address) as client:
        client.login("Gayathri", "password1")
        client.order_item(1, 1)
    service = Service("business_metrics", own)
    try:
        samples = served(page_of(own["INVENTORY_METRICS_LISTEN"]))
    finally:
        assert service.stop() == 0
    text = (ROOT / "docs" / "metrics.md").read_text()
    section = text.partition("## Metrics of the cluster and the business")[2].partition("\n## ")[0]
    documented = set(re.findall(r"`(inventory_\w+)`", section))
    assert {series.partition("{")[0] for series in samples} == documented | {OF_EVERY_PROCESS}
    stats = system.watcher.stats()
    assert stats.order_count > 0
    assert samples["inventory_orders_total"] == stats.order_count
    assert samples["inventory_units_sold_total"] == stats.units_sold
    assert samples['inventory_revenue_minor_units_total{currency="USD"}'] == stats.revenue.minor
    assert samples["inventory_stock_units"] == stats.total_quantity


@pytest.fixture
def metrics_port() -> int:
    """Return a port for metrics."""
    return free_port()


@pytest.fixture
def assistant(request: pytest.FixtureRequest, metrics_port: int) -> Iterator[str]:
    """Run an assistant for the gateway at `request.param`; yield its address.

    Without a parameter the gateway is the system's, and the certificate is of its authority.
    """
    address = f"127.0.0.1:{free_port()}"
    identity = parse_identity("assistant")
    gateway = getattr(request, "param", None)
    if gateway:
        files = pkitest.folder().keep(identity)
    else:
        system: Up = request.getfixturevalue("system")
        gateway = internal_address(system.data)
        files = Layout(system.data).pki.files(identity)
    running = Service(
        "assistant",
        {
            "INVENTORY_ASSISTANT_LISTEN": address,
            "INVENTORY_ASSISTANT_GATEWAY": gateway,
            "INVENTORY_METRICS_LISTEN": f"127.0.0.1:{metrics_port}",
            **tls_settings(files),
        },
    )
    try:
        assert health_of(address) == health_pb2.HealthCheckResponse.SERVING
        yield address
    finally:
        assert running.stop() == 0


def ask(address: str, token: str, question: str) -> assistant_pb2.GetPredictionResponse:
    """Ask an assistant directly."""
    with grpc.insecure_channel(address) as channel:
        return assistant_pb2_grpc.AssistantServiceStub(channel).GetPrediction(
            assistant_pb2.GetPredictionRequest(question=question),
            metadata=authorization(token),
            timeout=SECONDS_MAX,
        )


def test_an_assistant_asks_as_its_caller(system: Up, assistant: str, metrics_port: int) -> None:
    """A producer sees sales, a customer does not, and an invalid token gets nothing."""
    answers = []
    for name, password in (("Gayathri", "password1"), ("Sarthak", "password2")):
        with Inventory(system.address) as client:
            client.login(name, password)
            answers.append(ask(assistant, client.token or "", "sales").text)
    assert "for producers, viewers and admins" in answers[0]
    assert "sold, revenue" in answers[1]
    with pytest.raises(grpc.RpcError) as caught:
        ask(assistant, "no token", "list all items")
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    with urllib.request.urlopen(f"http://127.0.0.1:{metrics_port}/metrics") as page:
        text = page.read().decode()
    assert 'inventory_assistant_questions_total{result="answered"} 2.0' in text
    assert 'inventory_assistant_questions_total{result="refused"} 1.0' in text


@pytest.mark.parametrize("assistant", ["127.0.0.1:1"], indirect=True)
def test_an_assistant_without_a_gateway_says_that_it_is_not_there(assistant: str) -> None:
    """The call ends as UNAVAILABLE within the time that the assistant gives each call."""
    with pytest.raises(grpc.RpcError) as caught:
        ask(assistant, "whatever", "list all items")
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
