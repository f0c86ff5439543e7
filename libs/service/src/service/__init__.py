"""What every process of the system has.

- `process`: a process from its settings to its exit status; secrets in files; addresses.
- `errors`: what ends a process, and with which status.
- `settings`: what the settings of all services have in common, and how nonsense is refused.
- `logs`: one form of log line. `logs.configure` once; `structlog.get_logger()` everywhere else.
- `metrics`: metrics over HTTP, where a listening address is configured.
- `probes`: the names under which Kubernetes asks a stateless service how it is.
- `faults`: servers whose unexpected exceptions are INTERNAL with an id, logged and counted.
- `reflection`: what gRPC tools ask a server about itself.
- `tasks`: works that end together.

Nothing of this package is on the way of an order.
"""
