"""Runs the health service: `python -m cluster_health`, settings from the environment.

Exit status: 0 stopped cleanly on SIGTERM or SIGINT; 2 the settings are nonsense; 6 an address
cannot be listened on.
"""

import asyncio
import socket
import sys

import structlog
from pki.contexts import PkiContexts
from pki.identities import Kind, ProcessIdentity
from service import metrics, process
from service.faults import Faults
from service.probes import Probes
from service.serving import make_server
from service.tasks import until_first
from starlette.applications import Starlette

from cluster_health.canaries import Canaries
from cluster_health.config import HealthConfig
from cluster_health.facts import Facts
from cluster_health.findings import Finding, findings
from cluster_health.metrics import CanaryCounts, HealthCollector
from cluster_health.serving import serving
from cluster_health.watching import Watch
from cluster_health.web import application, bound, serve_until

DRAIN_SECONDS = 1

_log = structlog.get_logger()


class Service:
    """The health service of one process.

    - The answer under every name is of the newest facts.
    - A finding is logged when it appears and when it is gone.
    """

    def __init__(self, config: HealthConfig, contexts: PkiContexts) -> None:
        """Open the channels; nothing is asked yet."""
        self._config = config
        counts = CanaryCounts()
        self._canaries = Canaries(config.health_gateway, config, counts)
        self._watch = Watch(config, contexts, self._canaries)
        counts.registry.register(HealthCollector(lambda: self._watch.facts))
        self._registry = counts.registry
        self._faults = Faults()
        self._server = make_server(self._faults)
        self._probes = Probes(self._server)
        self._looked = asyncio.Event()
        self._stopped = asyncio.Event()
        self._shown: dict[str, bool] = {}
        self._found: dict[tuple[str, str], Finding] = {}

    async def run(self, http: socket.socket) -> None:
        """Serve until SIGTERM or SIGINT; `http` is listened on already."""
        listen = self._config.health_listen
        process.listen_on(self._server, listen)
        metrics.serve(self._config.metrics_listen, self._registry, lambda: self._faults.count)
        await self._server.start()
        process.on_stop(self._stopped.set)
        app = application(lambda: self._watch.facts, self._is_ready, self._faults)
        _log.info("serving", address=listen, http=self._config.health_http_listen)
        await until_first(
            self._serve(app, http),
            self._watch.run(self._log_findings),
            self._canaries.run(),
            self._publish(),
        )
        await self._server.stop(DRAIN_SECONDS)
        await self._watch.close()
        await self._canaries.close()

    def _is_ready(self) -> bool:
        return bool(self._watch.facts.at_ms) and not self._stopped.is_set()

    async def _serve(self, app: Starlette, http: socket.socket) -> None:
        await serve_until(self._stopped, app, http)
        await self._probes.mark_draining()

    def _log_findings(self, facts: Facts) -> None:
        """Log findings that appeared or are gone, and have the newest facts published."""
        found = {(one.kind, one.about): one for one in findings(facts)}
        for key in found.keys() - self._found.keys():
            _log.warning("found", kind=found[key].kind, says=found[key].says)
        for key in self._found.keys() - found.keys():
            _log.info("gone", kind=self._found[key].kind, says=self._found[key].says)
        self._found = found
        self._looked.set()

    async def _publish(self) -> None:
        """Publish the newest facts under every name, for ever."""
        await self._looked.wait()
        await self._probes.mark_ready()
        while True:
            await self._looked.wait()
            self._looked.clear()
            answers = serving(self._watch.facts)
            for name in self._shown.keys() | answers.keys():
                await self._probes.mark_serving(name, serves=answers.get(name, False))
            self._shown = answers


async def _run(config: HealthConfig) -> None:
    contexts = process.contexts_of(config, ProcessIdentity(Kind.HEALTH))
    with bound(config.health_http_listen) as http:
        await Service(config, contexts).run(http)


def main() -> int:
    """Run the health service; return the exit status."""
    return process.run("health", HealthConfig, _run)  # type: ignore[arg-type]  # from the environment


if __name__ == "__main__":
    sys.exit(main())
