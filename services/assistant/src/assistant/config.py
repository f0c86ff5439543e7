"""Settings of the assistant, read once from the environment; nonsense is refused at the start."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator
from pydantic_settings import BaseSettings, SettingsConfigDict

_ADDRESS = re.compile(r"[\w.\-\[\]:]+:\d{1,5}")
PORT_MAX = 65_535


def _address(value: str) -> str:
    if not _ADDRESS.fullmatch(value) or int(value.rpartition(":")[2]) > PORT_MAX:
        raise ValueError(f"{value!r} is not host:port")
    return value


def _optional(value: str) -> str:
    return _address(value) if value else value


class Config(BaseSettings):
    """The assistant's settings; each is `INVENTORY_` and its name in capitals."""

    model_config = SettingsConfigDict(env_prefix="INVENTORY_", frozen=True, extra="ignore")

    assistant_listen: Annotated[str, AfterValidator(_address)]  # host:port for the gateway
    assistant_gateway: Annotated[str, AfterValidator(_address)]  # host:port of the gateway
    metrics_listen: Annotated[str, AfterValidator(_optional)] = ""  # host:port; empty: none
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "console"] = "json"
