"""What every process of the system shares.

- `process`: a process from its settings to its exit status; secrets in files; addresses.
- `errors`: what ends a process, and with which status.
- `settings`: what the settings of all services have in common, and how nonsense is refused.
- `logs`: one form of log line. `logs.configure` once; `structlog.get_logger()` everywhere else.
- `metrics`: metrics over HTTP, where a listening address is configured.
- `probes`: the health of a stateless service, under the names that Kubernetes asks for.
- `serving`: gRPC servers with their limits. `faults`: an unexpected exception becomes INTERNAL with
  an id, and is logged. `intake`: who calls is looked at before a request is read.
- `reflection`: what gRPC tools ask a server about itself.
- `quiet`: no line in the log that is not ours.
- `tasks`: awaitables that end together.

Nothing of this package is on the path of an order.
"""
