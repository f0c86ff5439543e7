"""What a Prometheus of the operator would scrape: ServiceMonitors made into targets of `file_sd`.

A monitor selects Services by their labels; each endpoint of it names a port of theirs; the
addresses behind that port are in the Service's EndpointSlices. `targetLabels` are labels of the
Service that its metrics have too, under names that Prometheus takes.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rendered.objects import chosen_by

SERVICE_NAME = "kubernetes.io/service-name"


def targets(
    monitors: Iterable[Mapping[str, Any]],
    services: Sequence[Mapping[str, Any]],
    slices: Sequence[Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """Return each address with its labels; monitors and Services are rendered, slices are found."""
    made = []
    for monitor in monitors:
        for service in services:
            labels = service["metadata"]["labels"]
            if not chosen_by(monitor["spec"]["selector"], labels):
                continue
            job = labels[monitor["spec"]["jobLabel"]]
            handed_on = {
                re.sub(r"\W", "_", name, flags=re.ASCII): labels[name]
                for name in monitor["spec"].get("targetLabels", ())
                if labels.get(name)
            }
            own = [
                one
                for one in slices
                if one["metadata"]["labels"].get(SERVICE_NAME) == service["metadata"]["name"]
            ]
            for endpoint in monitor["spec"]["endpoints"]:
                made += [
                    {
                        "targets": [address],
                        "labels": handed_on | {"job": job, "namespace": namespace, "pod": pod},
                    }
                    for address, namespace, pod in _behind(own, endpoint["port"])
                ]
    return made


def _behind(slices: Iterable[Mapping[str, Any]], port: str) -> list[tuple[str, str, str]]:
    """Return each address at a port, with the namespace and the pod that has it."""
    return [
        (f"{address}:{one['port']}", found["metadata"]["namespace"], endpoint["targetRef"]["name"])
        for found in slices
        for one in found["ports"] or ()
        if one["name"] == port
        for endpoint in found["endpoints"] or ()
        for address in endpoint["addresses"]
    ]
