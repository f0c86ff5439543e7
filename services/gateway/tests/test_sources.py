"""Where a call comes from, whatever its caller writes about that."""

import pytest
from gateway.sources import NOWHERE, source_of


@pytest.mark.parametrize(
    ("peer", "source"),
    [
        ("ipv4:10.1.2.3:4567", "10.1.2.3"),
        ("ipv6:%5B2001:db8:1:2:3:4:5:6%5D:4567", "2001:db8:1:2::/64"),
        ("ipv6:[2001:db8:1:2:9::]:4567", "2001:db8:1:2::/64"),
        ("ipv6:%5Bfe80::1%25eth0%5D:4567", "fe80::/64"),
        ("ipv6:%5B::ffff:10.1.2.3%5D:4567", "10.1.2.3"),
        ("unix:/run/x", NOWHERE),
        ("ipv4:", NOWHERE),
        ("", NOWHERE),
    ],
)
def test_a_peer_is_an_address_or_a_network(peer: str, source: str) -> None:
    """A subscriber of IPv6 has 2^64 addresses, and is one source."""
    assert source_of(peer, ["192.0.2.9"], 0) == source


@pytest.mark.parametrize(
    ("forwarded", "hops", "source"),
    [
        (["192.0.2.1"], 1, "192.0.2.1"),
        (["198.51.100.7, 192.0.2.1"], 1, "192.0.2.1"),
        (["198.51.100.7, 192.0.2.1"], 2, "198.51.100.7"),
        (["198.51.100.7", " 192.0.2.1 "], 2, "198.51.100.7"),
        (["forged, 198.51.100.7, 192.0.2.1"], 2, "198.51.100.7"),
        (["forged, 192.0.2.1"], 2, NOWHERE),
        (["192.0.2.1"], 2, "10.0.0.1"),
        ([], 1, "10.0.0.1"),
    ],
)
def test_behind_proxies_it_is_what_the_outermost_trusted_one_saw(
    forwarded: list[str], hops: int, source: str
) -> None:
    """What stands before that the caller wrote; where it is missing, the peer is the proxy."""
    assert source_of("ipv4:10.0.0.1:1", forwarded, hops) == source
