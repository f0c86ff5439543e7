"""From the rendered ServiceMonitor to every pod's metrics, as the Prometheus operator goes."""

from typing import Any

from rendered import helm
from rendered.objects import chosen_by, of_kind, pods
from rendered.scraping import SERVICE_NAME, targets


def slices(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the EndpointSlices of the Services: an address for each pod behind a Service."""
    made = []
    for service in of_kind(found, "Service"):
        selector = {"matchLabels": service["spec"]["selector"]}
        for number, pod in enumerate(pods(found)):
            if pod.lasting and chosen_by(selector, pod.labels):
                ports = [
                    {"name": port["name"], "port": pod.ports[port["targetPort"]]}
                    for port in service["spec"]["ports"]
                ]
                endpoint = {"addresses": [f"10.0.0.{number}"], "targetRef": {"name": pod.component}}
                metadata = {
                    "namespace": helm.NAMESPACE,
                    "labels": {SERVICE_NAME: service["metadata"]["name"]},
                }
                made.append({"metadata": metadata, "ports": ports, "endpoints": [endpoint]})
    return made


def scraped(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the targets of some rendered objects."""
    return targets(of_kind(found, "ServiceMonitor"), of_kind(found, "Service"), slices(found))


def test_every_pod_is_scraped_once_where_it_serves_its_metrics() -> None:
    """The scrape has the job of the pod's part."""
    found = helm.objects("all")
    jobs = sorted(
        (one["labels"]["job"], one["targets"][0].partition(":")[2]) for one in scraped(found)
    )
    parts = sorted(pod.component for pod in pods(found) if pod.lasting)
    assert jobs == [(part, "9100") for part in parts]
    assert all(one["labels"]["job"] == one["labels"]["pod"] for one in scraped(found))
    assert {one["labels"]["namespace"] for one in scraped(found)} == {helm.NAMESPACE}


def test_every_target_has_the_name_of_its_release() -> None:
    """The name tells two releases of a namespace apart; no other label of the Service is copied."""
    for name in (helm.NAME, "other"):
        found = helm.parsed(helm.values_of("all"), name=name)
        labels = [one["labels"] for one in scraped(found)]
        assert {one["app_kubernetes_io_instance"] for one in labels} == {name}
        assert {label for one in labels for label in one} == {
            "app_kubernetes_io_instance", "job", "namespace", "pod",
        }  # fmt: skip


def test_a_label_that_a_service_does_not_have_is_not_made_up() -> None:
    """The operator leaves the label out; to Prometheus an empty label is no label."""
    found = helm.parsed(helm.values_of("all"))
    [monitor] = of_kind(found, "ServiceMonitor")
    monitor["spec"]["targetLabels"] = ["example.org/of"]
    assert all(one["labels"].keys() == {"job", "namespace", "pod"} for one in scraped(found))


def test_a_port_of_another_name_is_not_scraped() -> None:
    """The monitor chooses the port by its name."""
    found = helm.parsed(helm.values_of("all"))
    [monitor] = of_kind(found, "ServiceMonitor")
    monitor["spec"]["endpoints"][0]["port"] = "other"
    assert scraped(found) == []


def test_without_a_monitor_nothing_is_scraped() -> None:
    """The default."""
    assert scraped(helm.objects("default")) == []
