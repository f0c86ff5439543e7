"""Make the generated files of the chart, or check that they are as made.

README.md is its values by values.schema.json, with the defaults of values.yaml. `files` has copies
of the alerts and dashboards of deploy/monitoring: a chart holds no file of another folder, and Helm
warns of a link to one. `_currencies.tpl` lists the currencies that an inventory can be kept in.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from wire.money import CURRENCIES

ROOT = Path(__file__).resolve().parents[1]
CHART = ROOT / "deploy" / "helm" / "inventory"
MONITORING = ROOT / "deploy" / "monitoring"
HEADER = "<!-- Made from values.schema.json and values.yaml by tools/render_chart.py. -->\n"
CURRENCY_TEMPLATE = """\
{{{{- /* Made by tools/render_chart.py: the currencies of ISO 4217 that have a minor unit. */ -}}}}
{{{{- define "inventory.currencies" -}}}}
{codes}
{{{{- end }}}}
"""
INTRODUCTION = """\
The chart installs it on Kubernetes {kubernetes}: members as a StatefulSet, gateways and all else as
Deployments. The image is published nowhere: build it, push it to a registry of yours, and name it.

```console
docker build --tag registry.example.org/inventory:{version} .
docker push registry.example.org/inventory:{version}
helm install inventory deploy/helm/inventory --namespace inventory --create-namespace --wait \\
  --set image.repository=registry.example.org/inventory
helm test inventory --namespace inventory --logs
```

`values-kind.yaml`, `values-minikube.yaml` and `values-production.yaml` are values for three places.
`docs/operating.md` says what happens when. `docs/configuration.md` says which settings `extraEnv`
may add. A value that Kubernetes would refuse is refused by the chart, with a sentence.
"""


def described(
    properties: Mapping[str, Any], defaults: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, object, str]]:
    """Yield each value's path, default and description; inner objects are opened in their place."""
    for name, schema in properties.items():
        inner, default = schema.get("properties"), defaults.get(name)
        if inner is None:
            yield f"{prefix}{name}", default, schema["description"]
        else:
            yield from described(inner, default or {}, f"{prefix}{name}.")


def readme() -> str:
    """Return the chart's README."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    schema = json.loads((CHART / "values.schema.json").read_text())
    version = chart["kubeVersion"].removeprefix(">=").removesuffix(".0-0")
    text = INTRODUCTION.format(kubernetes=f"{version} or later", version=chart["appVersion"])
    lines = [f"# {chart['name']} {chart['version']}", "", f"{chart['description']}.", "", text]
    alone = {name: one for name, one in schema["properties"].items() if "properties" not in one}
    parts = [name for name in schema["properties"] if name not in alone]
    lines += ["## Values", "", *_table(described(alone, values))]
    for name in parts:
        part = schema["properties"][name]
        lines += ["", f"### {name}", "", part["description"], ""]
        lines += _table(described(part["properties"], values[name], f"{name}."))
    return HEADER + "\n".join(lines) + "\n"


def _table(rows: Iterator[tuple[str, object, str]]) -> list[str]:
    lines = ["| value | default | what |", "|---|---|---|"]
    for path, default, what in rows:
        shown = "" if default is None else f"`{json.dumps(default)}`"
        lines.append(f"| `{path}` | {shown} | {what} |")
    return lines


def files() -> dict[Path, str]:
    """Return the content of every generated file."""
    currencies = CURRENCY_TEMPLATE.format(codes="|".join(CURRENCIES))
    made = {
        CHART / "README.md": readme(),
        CHART / "templates" / "_currencies.tpl": currencies,
    }
    for path in (MONITORING / "rules.yaml", *sorted((MONITORING / "dashboards").glob("*.json"))):
        made[CHART / "files" / path.relative_to(MONITORING)] = path.read_text()
    return made


def main() -> int:
    """Write the files; with --check, say which differ and return 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing")
    is_check = parser.parse_args().check
    wanted = files()
    there = {path for path in (CHART / "files").rglob("*") if path.is_file()}
    differing = sorted(there - wanted.keys())
    differing += [
        path for path, text in wanted.items() if not path.exists() or path.read_text() != text
    ]
    for path in differing:
        if is_check:
            sys.stderr.write(f"{path.relative_to(ROOT)} is not as made: run `make manifests`\n")
        elif path in wanted:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted[path])
        else:
            path.unlink()
    return 1 if is_check and differing else 0


if __name__ == "__main__":
    sys.exit(main())
