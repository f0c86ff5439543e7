"""Logs and metrics in the same form in every process.

`logs.configure` once, at the start; `structlog.get_logger()` everywhere else. `metrics.serve` once,
where a listening address is configured. Neither is on the way of an order.
"""
