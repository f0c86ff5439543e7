"""The chart rendered beside a release that runs: a cluster, as far as `lookup` asks it.

It is the API of Kubernetes over HTTP with the few kinds that the chart looks up, read only.
"""

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

from rendered import helm

KINDS = {  # by group and version, as a path has them
    "/api/v1": {"Secret": "secrets"},
    "/apis/apps/v1": {"StatefulSet": "statefulsets", "Deployment": "deployments"},
}
MISSING = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound"}


def upgraded(
    folder: Path, running: Sequence[Mapping[str, Any]], values: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return what the chart renders beside existing objects. Raise RenderingRefused."""
    with _cluster(_answers(running)) as address:
        named = [{"name": "here", "cluster": {"server": address}}]
        context = {"cluster": "here", "user": "here"}
        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_text(
            yaml.safe_dump(
                {
                    "clusters": named,
                    "users": [{"name": "here", "user": {}}],
                    "contexts": [{"name": "here", "context": context}],
                    "current-context": "here",
                }
            )
        )
        return helm.load(helm.render_by_program(values, kubeconfig=kubeconfig))


def _answers(running: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the document of each path: what kinds there are, and the objects of a namespace."""
    made: dict[str, Any] = {}
    for path, kinds in KINDS.items():
        made[path] = {
            "kind": "APIResourceList",
            "groupVersion": path.removeprefix("/apis/").removeprefix("/api/"),
            "resources": [
                {"name": plural, "kind": kind, "namespaced": True, "verbs": ["get"]}
                for kind, plural in kinds.items()
            ],
        }
        made |= {
            f"{path}/namespaces/{helm.NAMESPACE}/{plural}": {
                "kind": f"{kind}List",
                "apiVersion": made[path]["groupVersion"],
                "items": [one for one in running if one["kind"] == kind],
            }
            for kind, plural in kinds.items()
        }
        for one in running:
            if plural := kinds.get(one["kind"]):
                where = f"{path}/namespaces/{helm.NAMESPACE}/{plural}"
                made[f"{where}/{one['metadata']['name']}"] = one
    return made


@contextmanager
def _cluster(answers: Mapping[str, Any]) -> Iterator[str]:
    """Answer at an address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = answers.get(self.path.partition("?")[0])
            body = json.dumps(known or MISSING).encode()
            self.send_response(HTTPStatus.OK if known else HTTPStatus.NOT_FOUND)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), name="kubernetes")
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
