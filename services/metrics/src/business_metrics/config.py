"""Settings of the metrics service, read once from the environment; nonsense is refused at start."""

from service.settings import Address, OptionalAddress, TlsSettings


class MetricsConfig(TlsSettings):
    """The metrics service's settings."""

    metrics_listen: (
        Address  # for Prometheus; required here, since metrics are all that this process serves
    )
    metrics_health_listen: OptionalAddress = ""  # of gRPC health, for probes
    metrics_gateway: Address  # its internal port
