"""Settings of the assistant, read once from the environment; nonsense is refused at the start."""

from service.settings import Address, TlsSettings


class AssistantConfig(TlsSettings):
    """The assistant's settings."""

    assistant_listen: Address  # for the gateway
    assistant_gateway: Address  # its internal port
