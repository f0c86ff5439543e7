"""What may be an address or a name."""

import pytest
from wire.addresses import is_address, is_name


@pytest.mark.parametrize(
    "address", ["127.0.0.1:50051", "[::1]:1", "gateway.shop.svc:65535", "node_0:07"]
)
def test_an_address_is_host_and_port(address: str) -> None:
    """By name or by number."""
    assert is_address(address)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "127.0.0.1",
        "a:0",
        "a:65536",
        "a:-1",
        "a: 1",
        "a:1\n",
        "a:\uff15\uff10",
        "\uff11\uff12\uff17.0.0.1:1",
        "a:\u0661",
        "caf\u00e9:1",
    ],
)
def test_anything_else_is_no_address(address: str) -> None:
    """Python reads the digits of every script as numbers; a resolver reads none but ASCII."""
    assert not is_address(address)


def test_a_name_is_a_dns_label() -> None:
    """In ASCII too."""
    assert is_name("node-0")
    assert not is_name("node-\uff10")
