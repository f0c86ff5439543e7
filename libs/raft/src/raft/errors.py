"""What cannot be gone on from."""


class InvariantViolation(Exception):  # noqa: N818 - it names the fact, and nobody handles it
    """Something that the protocol rules out has happened: going on would fork the replicas."""
