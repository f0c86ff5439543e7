"""Logs are lines of JSON; metrics are pages that Prometheus reads."""

import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
import urllib.request

import pytest
from chaos.ports import free_port
from prometheus_client import CollectorRegistry, Gauge
from service import metrics


@pytest.mark.slow
def test_a_log_line_is_json_with_its_service() -> None:
    """A line has time, level, service, event and fields; lines below the level are dropped."""
    program = (
        "import structlog\n"
        "from service import logs\n"
        "logs.configure('tester', 'info', 'json')\n"
        "structlog.get_logger().debug('quiet')\n"
        "structlog.get_logger().info('happened', where='here')\n"
    )
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    told = json.loads(line)
    assert (told["event"], told["service"], told["where"]) == ("happened", "tester", "here")
    assert told["level"] == "info"
    assert told["timestamp"].endswith("Z")


@pytest.mark.slow
def test_a_line_that_cannot_be_written_is_lost_and_nothing_with_it() -> None:
    """The log's disk is full: the line is lost, and the service goes on."""
    program = (
        "import structlog\n"
        "from service import logs\n"
        "logs.configure('tester', 'info', 'json')\n"
        "for _ in range(1_000):\n"
        "    structlog.get_logger().info('happened', where='x' * 1_000)\n"
        "print('went on')\n"
    )
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        done = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=full, text=True,
            check=False, timeout=60,
        )  # fmt: skip
    assert done.stdout == "went on\n"


def test_metrics_are_served() -> None:
    """The page is served at the configured address."""
    registry = CollectorRegistry()
    Gauge("inventory_test", "A test.", registry=registry).set(3)
    port = free_port()
    metrics.serve(f"127.0.0.1:{port}", registry, lambda: 3)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as page:
        assert "inventory_test 3.0" in page.read().decode()


def test_slow_requests_keep_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are, few threads wait for them, and a scrape is answered."""
    monkeypatch.setattr(metrics, "CONNECTIONS_MAX", 4)
    registry = CollectorRegistry()
    port = free_port()
    before = threading.active_count()
    metrics.serve(f"127.0.0.1:{port}", registry, lambda: 0)
    with contextlib.ExitStack() as slow:
        for _ in range(40):
            one = slow.enter_context(socket.create_connection(("127.0.0.1", port)))
            one.sendall(b"GET /metrics HTTP/1.1\r\nx: ")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as page:
            assert "inventory_internal_errors" in page.read().decode()
        deadline = time.monotonic() + 20  # a thread whose connection was ended is about to end
        while threading.active_count() - before > 2 + metrics.CONNECTIONS_MAX:
            assert time.monotonic() < deadline
            threading.Event().wait(0.01)


@pytest.mark.slow
def test_a_request_that_does_not_end_ends_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its thread waits no longer than a moment for the next byte."""
    monkeypatch.setattr(metrics.SilentHandler, "timeout", 0.1)
    port = free_port()
    metrics.serve(f"127.0.0.1:{port}", CollectorRegistry(), lambda: 0)
    with socket.create_connection(("127.0.0.1", port), timeout=20) as slow:
        slow.sendall(b"GET /metrics HTTP/1.1\r\nx: ")
        assert slow.recv(1) == b""
