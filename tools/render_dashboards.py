"""Make the Grafana dashboards in deploy/monitoring/dashboards, or check that they are as made.

Each panel is a title, a unit and its queries; docs/metrics.md lists the metrics of the queries. All
queries are of one release, which the user chooses, in a namespace, which the user chooses too. If
metrics lack the labels of both, nothing can be chosen, and an empty choice selects all.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from grafana_foundation_sdk.builders import dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.builders.common import ReduceDataOptions, VizLegendOptions
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import LegendDisplayMode, LegendPlacement
from grafana_foundation_sdk.models.dashboard import DataSourceRef, VariableRefresh, VariableSort

FOLDER = Path(__file__).resolve().parents[1] / "deploy" / "monitoring" / "dashboards"
SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
RELEASES = "inventory_gateway_has_leader"  # a metric of every release, of a paused release too
RELEASE = "app_kubernetes_io_instance"  # the label with the release's name
PROCESS = "process"  # a label made by queries: the pod, or the instance if there is no pod label
STAT_HEIGHT, STAT_SPAN = 4, 4  # a dashboard is 24 columns wide
GRAPH_HEIGHT, GRAPH_SPAN = 8, 8


@dataclass(frozen=True, slots=True)
class Stat:
    """One figure, at this moment."""

    title: str
    expr: str
    unit: str = "none"


@dataclass(frozen=True, slots=True)
class Graph:
    """Figures over time: each legend and its query."""

    title: str
    queries: Mapping[str, str]
    unit: str = "none"


def _by(labels: Sequence[str]) -> str:
    return f" by ({', '.join(labels)})" if labels else ""


def of_release(metric: str) -> str:
    """Return the selector of a metric."""
    return f'inventory_{metric}{{namespace="$namespace",{RELEASE}="$release"}}'


def rate_of(counter: str) -> str:
    """Return the query for a counter's rate."""
    return f"rate({of_release(counter)}[$__rate_interval])"


def with_process(query: str) -> str:
    """Return a query whose series have the label PROCESS."""
    for label, there in (("instance", ".*"), ("pod", ".+")):
        query = f'label_replace({query}, "{PROCESS}", "$1", "{label}", "({there})")'
    return query


def per_second(counter: str, *by: str) -> str:
    """Return the query for a counter's rate, summed but for some labels."""
    return f"sum{_by(by)} ({rate_of(counter)})"


def process_rate(counter: str) -> str:
    """Return the query for a counter's rate in each process."""
    return f"sum by ({PROCESS}) ({with_process(rate_of(counter))})"


def process_now(gauge: str) -> str:
    """Return the query for a figure of each process."""
    return f"max by ({PROCESS}) ({with_process(of_release(gauge))})"


def mean(summary: str) -> str:
    """Return the query for the mean of a summary, in each process."""
    total, count = (process_rate(f"{summary}_{part}") for part in ("sum", "count"))
    return f"{total} / {count}"


def newest(metric: str, *by: str) -> str:
    """Return the query for a figure of the whole cluster, which several processes may serve."""
    return f"max{_by(by)} ({of_release(metric)})"


def an_hour(counter: str, *by: str) -> str:
    """Return the query for the rate of a figure of the whole cluster."""
    return f"max{_by(by)} ({rate_of(counter)}) * 3600"


def each(query: str) -> dict[str, str]:
    """Return a query with a line for each process."""
    return {f"{{{{{PROCESS}}}}}": query}


LOG_FIRST, LOG_LAST = (process_now(f"node_log_{end}_index") for end in ("first", "last"))
COMMANDS = process_rate("node_applied_commands_total")
COMMANDS_AN_ENTRY = f"{COMMANDS} / {process_rate('node_applied_entries_total')}"
ANSWERED_WITHIN = (
    f"histogram_quantile(0.95, {per_second('assistant_question_seconds_bucket', 'le')})"
)

TRIED, TRIED_SECONDS = (
    per_second(f"health_canary_seconds_{part}", "canary") for part in ("count", "sum")
)
TRIED_FOR = f"{TRIED_SECONDS} / {TRIED}"
CLUSTER: dict[str, Sequence[Stat | Graph]] = {
    "Cluster": (
        Stat("A leader is known", newest("cluster_has_leader"), "bool_yes_no"),
        Stat("Voters that answer", newest("cluster_voters_reachable")),
        Stat("Voters", newest("cluster_voters")),
        Stat("Term", newest("cluster_term")),
        Stat("State hashes differ", newest("cluster_state_hashes_differ"), "bool_yes_no"),
        Stat("Revision", newest("revision")),
        Graph("Members", {"{{role}}": newest("cluster_members", "role")}),
        Graph("Members that answer", {"{{member}}": newest("member_reachable", "member")}),
        Graph("Entries behind", {"{{member}}": newest("member_lag_entries", "member")}),
        Graph("Entries to flush", {"{{member}}": newest("member_unflushed_entries", "member")}),
        Graph("Elections", each(process_rate("node_elections_total")), "ops"),
        Graph("Newest state hash", {"{{member}}": newest("member_hashed_index", "member")}),
    ),
    "Members": (
        Graph("Commands", each(COMMANDS), "ops"),
        Graph("Commands an entry", each(COMMANDS_AN_ENTRY)),
        Graph("Entries in the log", each(f"{LOG_LAST} - {LOG_FIRST} + 1")),
        Graph("A sync of the log", each(mean("node_wal_sync_seconds")), "s"),
        Graph("A flush to the database", each(mean("node_flush_seconds")), "s"),
        Graph("Free on the volume", each(process_now("node_volume_free_bytes")), "bytes"),
        Graph("Messages lost", each(process_rate("node_peer_dropped_messages_total"))),
        Graph("Loop busy", each(process_rate("node_loop_busy_seconds_total")), "percentunit"),
        Graph("Loop lag", each(process_now("node_loop_lag_seconds")), "s"),
        Graph(
            "Waiting",
            {
                "{{process}} events": process_now("node_loop_queue_events"),
                "{{process}} to peers": process_now("node_peer_queue_messages"),
                "{{process}} to gateways": process_now("node_gateway_queue_frames"),
            },
        ),
    ),
    "Gateways": (
        Graph("Requests", {"{{result}}": per_second("gateway_requests_total", "result")}, "ops"),
        Graph("Not answered yet", each(process_now("gateway_pending_requests"))),
        Graph("Sent again", each(process_rate("gateway_retries_total")), "ops"),
    ),
    "Health": (
        Graph("Serves", {"{{name}}": newest("health_serving", "name")}),
        Graph("Tries to write and to read", {"{{canary}}": TRIED_FOR}, "s"),
        Graph("What is wrong", {"{{severity}}": newest("health_findings", "severity")}),
    ),
    "These metrics": (
        Graph("Read", {"{{read}}": newest("metrics_read_success", "read")}),
        Graph("Time of a read", {"{{read}}": newest("metrics_read_seconds", "read")}, "s"),
    ),
}

BUSINESS: dict[str, Sequence[Stat | Graph]] = {
    "Stock": (
        Stat("Items", newest("items")),
        Stat("Units on hand", newest("stock_units")),
        Stat("Worth, in minor units", newest("stock_value_minor_units", "currency")),
        Stat("Low in stock", newest("low_stock_items")),
        Stat("Out of stock", newest("out_of_stock_items")),
        Graph("Units on hand", {"units": newest("stock_units")}),
        Graph(
            "Items to restock",
            {"low": newest("low_stock_items"), "out": newest("out_of_stock_items")},
        ),
        Graph(
            "Worth, in minor units",
            {"{{currency}}": newest("stock_value_minor_units", "currency")},
        ),
    ),
    "Sales": (
        Stat("Orders", newest("orders_total")),
        Stat("Units sold", newest("units_sold_total")),
        Stat("Revenue, in minor units", newest("revenue_minor_units_total", "currency")),
        Graph("Orders an hour", {"orders": an_hour("orders_total")}),
        Graph("Units sold an hour", {"units": an_hour("units_sold_total")}),
        Graph(
            "Revenue an hour, in minor units",
            {"{{currency}}": an_hour("revenue_minor_units_total", "currency")},
        ),
    ),
    "Assistant": (
        Graph(
            "Questions", {"{{result}}": per_second("assistant_questions_total", "result")}, "ops"
        ),
        Graph("Time of 95 in 100 answers", {"at most": ANSWERED_WITHIN}, "s"),
    ),
}


def target(expr: str, legend: str, reference: str) -> prometheus.Dataquery:
    """Make a query of a panel."""
    return (
        prometheus.Dataquery().expr(expr).legend_format(legend).ref_id(reference).datasource(SOURCE)
    )


def panel(shown: Stat | Graph) -> stat.Panel | timeseries.Panel:
    """Make a panel."""
    if isinstance(shown, Stat):
        return (
            stat.Panel()
            .title(shown.title)
            .unit(shown.unit)
            .datasource(SOURCE)
            .height(STAT_HEIGHT)
            .span(STAT_SPAN)
            .reduce_options(ReduceDataOptions().calcs(["lastNotNull"]))
            .with_target(target(shown.expr, "", "A"))
        )
    legend = (
        VizLegendOptions()
        .show_legend(show_legend=True)
        .display_mode(LegendDisplayMode.LIST)
        .placement(LegendPlacement.BOTTOM)
    )
    made = (
        timeseries.Panel()
        .title(shown.title)
        .unit(shown.unit)
        .min(0)
        .datasource(SOURCE)
        .height(GRAPH_HEIGHT)
        .span(GRAPH_SPAN)
        .legend(legend)
    )
    for number, (label, expr) in enumerate(shown.queries.items()):
        made = made.with_target(target(expr, label, chr(ord("A") + number)))
    return made


def choice(name: str, query: str) -> dashboard.QueryVariable:
    """Make a variable of a query's results; its value is one result, or empty without results."""
    return (
        dashboard.QueryVariable(name)
        .label(name.capitalize())
        .datasource(SOURCE)
        .query(query)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
    )


def render(name: str, rows: dict[str, Sequence[Stat | Graph]]) -> str:
    """Return a dashboard as JSON."""
    in_namespace = f'{RELEASES}{{namespace="$namespace"}}'
    made = (
        dashboard.Dashboard(f"Inventory: {name}")
        .uid(f"inventory-{name}")
        .tags(["inventory"])
        .editable()
        .refresh("30s")
        .time("now-1h", "now")
        .with_variable(
            dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus")
        )
        .with_variable(choice("namespace", f"label_values({RELEASES}, namespace)"))
        .with_variable(choice("release", f"label_values({in_namespace}, {RELEASE})"))
    )
    for title, panels in rows.items():
        made = made.with_row(dashboard.Row(title))
        for shown in panels:
            made = made.with_panel(panel(shown))
    return JSONEncoder(sort_keys=True, indent=2).encode(made.build()) + "\n"


def files() -> dict[str, str]:
    """Return the content of every dashboard's file, by name."""
    rows = {"cluster": CLUSTER, "business": BUSINESS}
    return {f"{name}.json": render(name, panels) for name, panels in rows.items()}


def main() -> int:
    """Write the files, or with --check tell which are not as made."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    check = parser.parse_args().check
    wanted = files()
    there = {path.name: path.read_text() for path in FOLDER.glob("*.json")}
    wrong = sorted(name for name in wanted | there if wanted.get(name) != there.get(name))
    if check:
        for name in wrong:
            sys.stderr.write(f"{FOLDER / name} is not as made: run tools/render_dashboards.py\n")
        return bool(wrong)
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in wrong:
        if name in wanted:
            (FOLDER / name).write_text(wanted[name])
        else:
            (FOLDER / name).unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
