"""A fault of the health service's own, over HTTP: an id outside, the trace in the log."""

import asyncio
from typing import Any

import pytest
from cluster_health.facts import Facts
from cluster_health.web import application
from service.faults import Faults
from structlog.testing import capture_logs

SECRET = "a word of Python's"  # noqa: S105 - what nobody outside may read


def broken() -> Facts:
    """Fail, as no facts ever should."""
    raise KeyError(SECRET)


def get(faults: Faults, path: str) -> tuple[int, str]:
    """Return the status and the body of the answer at a path."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    async def send(message: Any) -> None:  # noqa: ANN401 - ASGI's
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": []}
    asyncio.run(application(broken, lambda: True, faults)(scope, receive, send))
    start, *rest = sent
    return start["status"], b"".join(one.get("body", b"") for one in rest).decode()


@pytest.mark.parametrize("path", ["/healthz", "/status", "/", "/fragment"])
def test_a_fault_is_told_by_an_id(path: str) -> None:
    """The fault is logged and counted as a fault of gRPC is."""
    faults = Faults()
    with capture_logs() as logged:
        status, body = get(faults, path)
    assert status == 500
    assert SECRET not in body
    [entry] = logged
    assert entry["error_id"] in body
    assert entry["where"] == f"GET {path}"
    assert isinstance(entry["exc_info"], KeyError)
    assert faults.count == 1


def test_what_is_not_there_is_no_fault() -> None:
    """An unknown path is no fault, and /livez answers without facts."""
    faults = Faults()
    assert get(faults, "/nothing")[0] == 404
    assert get(faults, "/livez") == (200, "ok\n")
    assert faults.count == 0
