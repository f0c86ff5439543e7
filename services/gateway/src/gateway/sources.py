"""Where a call comes from: an address that can be held to account for what it tries.

Of IPv6 that is a network of 64 bits, which one subscriber has. Behind proxies it is what the
outermost trusted proxy saw: each proxy adds the address of whoever called it to the end of
`x-forwarded-for`, and whatever stands before that anybody may have written.
"""

import ipaddress
from collections.abc import Sequence
from urllib.parse import unquote

NOWHERE = "unknown"
NETWORK_BITS = 64
FORWARDED = "x-forwarded-for"


def source_of(peer: str, forwarded: Sequence[str], trusted_hops: int) -> str:
    """Return the source of a call.

    `peer`: as gRPC names it, such as "ipv4:10.0.0.1:5" or "ipv6:%5B::1%5D:5". `forwarded`: the
    values of FORWARDED, in order. `trusted_hops`: how many proxies add to that; 0: none.
    """
    if trusted_hops:
        hops = [hop.strip() for value in forwarded for hop in value.split(",")]
        if len(hops) >= trusted_hops:
            return _network(hops[-trusted_hops])
    kind, _, rest = unquote(peer).partition(":")
    if kind not in {"ipv4", "ipv6"}:
        return NOWHERE
    return _network(rest.rpartition(":")[0].strip("[]"))


def _network(host: str) -> str:
    """Return an IPv4 address, or the network of an IPv6 address."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return NOWHERE
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((address, NETWORK_BITS), strict=False))
