"""What can be wrong with certificates.

PkiError            the one kind: what is wrong with which file or name, and what to do
"""


class PkiError(Exception):
    """A certificate, a key or a name that cannot be used; the text says which and why."""
