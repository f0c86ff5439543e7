"""The exceptions that end a run in which a property was broken."""


class SafetyViolation(Exception):  # noqa: N818 - what was found is its name
    """The cluster did something that it must never do."""


class LivenessViolation(Exception):  # noqa: N818 - what was found is its name
    """The cluster did not do in time what it must do."""
