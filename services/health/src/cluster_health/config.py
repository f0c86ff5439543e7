"""Settings of the health service, read once from the environment; nonsense is refused at start."""

from pydantic import NonNegativeInt
from service.settings import Address, Members, OptionalAddress, TlsSettings, by_name


class HealthConfig(TlsSettings):
    """The health service's settings."""

    health_listen: Address  # of gRPC
    health_http_listen: Address
    health_members: Members  # the first members; the gateway names later ones
    health_gateway: Address  # its internal port
    health_assistant: OptionalAddress = ""
    health_replicas: NonNegativeInt | None = None  # how many members there should be; 0: paused
    health_pods: str = ""  # a name that resolves to an address for each member that was started

    @property
    def members(self) -> dict[str, str]:
        """The first members' addresses by their names."""
        return by_name(self.health_members)
