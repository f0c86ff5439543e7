"""Certificates for tests: one authority a process, made when the first is asked for."""

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from pki.contexts import PkiContexts
from pki.folder import PkiFolder
from pki.identities import parse_identity


def folder(authority: str = "tests") -> PkiFolder:
    """Return the folder of an authority with this name, which is removed at the end."""
    return _made(authority)


def contexts(process: str, authority: str = "tests") -> PkiContexts:
    """Return the contexts of `gateway`, or of a member by its name."""
    return _issued(process, authority)


@cache
def _made(authority: str) -> PkiFolder:
    path = tempfile.mkdtemp(prefix="pki-")
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    made = PkiFolder(Path(path) / "pki")
    made.make(authority)
    return made


@cache
def _issued(process: str, authority: str) -> PkiContexts:
    identity = parse_identity(process)
    folder(authority).issue(identity)
    return PkiContexts(folder(authority).files(identity))
