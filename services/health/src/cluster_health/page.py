"""The facts as documents: a page for people, JSON for programs. Pure."""

import re
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2
import markdown_it
import markupsafe
from inventory.v1 import cluster_pb2

from cluster_health.facts import LEADER, Facts, Lead, Member, behind, lead_of
from cluster_health.findings import (
    FREE_PERCENT_LOW,
    Finding,
    Severity,
    findings,
    recent_elections,
)
from cluster_health.serving import CLUSTER, NODE, READS, WRITES, serving

HERE = Path(__file__).parent
SHIPPED = HERE / "runbooks"  # the runbooks' place in a wheel
RUNBOOKS = SHIPPED if SHIPPED.is_dir() else HERE.parents[3] / "docs" / "runbooks"
ELECTIONS_SHOWN = 8
COMMAND = re.compile(r"`([^`]*)`")
ELSEWHERE = re.compile(r"\[([^\]]*)\]\(\.\./[^)]*\)")

_templates = jinja2.Environment(
    loader=jinja2.FileSystemLoader(HERE / "pages"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def asset(name: str) -> bytes:
    """Return a file that the page needs."""
    return (HERE / "pages" / name).read_bytes()


def page(facts: Facts) -> str:
    """Return the page as a whole."""
    return _templates.get_template("page.html").render(shown(facts))


def fragment(facts: Facts) -> str:
    """Return the part of the page that changes."""
    return _templates.get_template("fragment.html").render(shown(facts))


def runbook(name: str) -> str | None:
    """Return a runbook as a page; None when there is none of that name."""
    known = {path.stem: path for path in RUNBOOKS.glob("*.md")}
    if name not in known:
        return None
    # The runbooks link to files of the repository; this service has no other documents.
    text = ELSEWHERE.sub(r"\1", known[name].read_text())
    text = text.replace(".md)", ")")
    body = markdown_it.MarkdownIt().enable("table").render(text)
    return _templates.get_template("runbook.html").render(body=body, title=name)


def status(facts: Facts) -> dict[str, Any]:
    """Return all facts and findings, as /status serves them in JSON."""
    lead = lead_of(facts)
    return {
        "time": _moment(facts.at_ms),
        "serving": serving(facts),
        "leader": lead.name if lead is not None else None,
        "term": lead.term if lead is not None else None,
        "voters": list(lead.voters) if lead is not None else None,
        "replicas": facts.replicas,
        "members": [_member(name, one, lead) for name, one in sorted(facts.members.items())],
        "gateway": facts.gateway,
        "assistant": facts.assistant,
        "writes": asdict(facts.writes) if facts.writes is not None else None,
        "reads": asdict(facts.reads) if facts.reads is not None else None,
        "elections": [
            {
                "term": one.term,
                "leader": one.leader,
                "time": _moment(one.see_time.ToMilliseconds()),
            }
            for one in recent_elections(facts)
        ],
        "findings": [
            {
                "kind": one.kind,
                "about": one.about,
                "severity": one.severity.value,
                "says": one.says,
                "remedy": one.remedy,
                "runbook": f"runbooks/{one.runbook}",
            }
            for one in findings(facts)
        ],
    }


def shown(facts: Facts) -> dict[str, Any]:
    """Return the variables of the templates."""
    found = findings(facts)
    answers = serving(facts)
    status_ = status(facts)
    return {
        **status_,
        "headline": headline(facts, found),
        "level": found[0].severity.value if found else "well",
        "services": [
            _service("Writes", answers[WRITES], facts.writes),
            _service("Reads", answers[READS], facts.reads),
            ("Majority", answers[CLUSTER], ""),
            ("Gateway", facts.gateway, ""),
            *([("Assistant", facts.assistant, "")] if facts.assistant is not None else []),
        ],
        "elections": status_["elections"][:ELECTIONS_SHOWN],
        "free_percent_low": FREE_PERCENT_LOW,
    }


def headline(facts: Facts, found: list[Finding]) -> str:
    """Return the state of the cluster in one sentence."""
    if any(one.kind == "paused" for one in found):
        return "The members are paused."
    if facts.writes is None:
        return "Looking for the first time."
    if not facts.writes.ok:
        return "Nothing can be written."
    urgent = [one for one in found if one.severity is not Severity.NOTICE]
    if not urgent:
        return "Everything is well."
    things = "one thing needs" if len(urgent) == 1 else f"{len(urgent)} things need"
    return f"Orders are taken, and {things} a look."


def _service(name: str, serves: bool, canary: Any) -> tuple[str, bool, str]:  # noqa: ANN401, FBT001 - a row
    """Return a line of the services' list: name, whether it serves, how long the canary took."""
    took = f"{canary.seconds * 1_000:.0f} ms" if canary is not None and canary.ok else ""
    return name, serves, took


def _member(name: str, member: Member | None, lead: Lead | None) -> dict[str, Any]:
    if member is None:
        return {"name": name, "reachable": False}
    volume = member.volume
    return {
        "name": name,
        "reachable": True,
        "role": _word(cluster_pb2.MemberRole.Name(member.role), "MEMBER_ROLE_"),
        "standing": _word(cluster_pb2.MemberStanding.Name(member.standing), "MEMBER_STANDING_"),
        "leads": member.role == LEADER,
        "serves": serving(Facts(members={name: member}))[NODE + name],
        "leader": member.leader,
        "term": member.term,
        "commit_index": member.commit_index,
        "applied_index": member.applied_index,
        "behind": behind(member, lead) if lead is not None else None,
        "free_bytes": volume.free_bytes if member.HasField("volume") else None,
        "free_percent": 100 * volume.free_bytes // volume.size_bytes if volume.size_bytes else None,
        "clock_skew_ms": member.clock_skew_ms if member.HasField("clock_skew_ms") else None,
        "diverged": member.diverged,
        "version": member.version,
    }


def _word(name: str, prefix: str) -> str:
    return name.removeprefix(prefix).lower().replace("_", "-")


def _moment(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1_000, UTC).isoformat(timespec="seconds")


def _bytes(count: int) -> str:
    """Return a number of bytes for people."""
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1_024:  # noqa: PLR2004 - of the next unit
            return f"{size:.0f} {unit}"
        size /= 1_024
    return f"{size:.1f} TiB"


def _clock(moment: str) -> str:
    """Return the time of day of a moment, as the page shows it."""
    return moment[11:19]


def _code(text: str) -> markupsafe.Markup:
    """Return a sentence as HTML; text between backquotes becomes code."""
    return markupsafe.Markup(COMMAND.sub(r"<code>\1</code>", str(markupsafe.escape(text))))  # noqa: S704 - escaped first


_templates.filters |= {"bytes": _bytes, "clock": _clock, "code": _code}
