"""The form of members' names and addresses."""

import re

_ADDRESS = re.compile(r"[\w.\-\[\]:]+:\d{1,5}", re.ASCII)
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")  # a DNS label (RFC 1123)
PORT_MAX = 65_535
ADDRESS_CHARACTERS_MAX = 300  # a DNS name has 253


def is_name(value: str) -> bool:
    """Tell whether a text may be a member's name."""
    return _NAME.fullmatch(value) is not None


def is_address(value: str) -> bool:
    """Tell whether a text is host:port; port 0 would differ at every start."""
    if len(value) > ADDRESS_CHARACTERS_MAX or _ADDRESS.fullmatch(value) is None:
        return False
    return 0 < int(value.rpartition(":")[2]) <= PORT_MAX
