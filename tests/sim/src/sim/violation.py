"""What a run ends with that must never happen."""


class SafetyViolation(Exception):  # noqa: N818 - what was found is its name
    """The cluster did what it must never do."""


class LivenessViolation(Exception):  # noqa: N818 - what was found is its name
    """The cluster did not do in time what it must."""
