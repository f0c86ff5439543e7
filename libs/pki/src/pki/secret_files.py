"""The files of secrets: whose they are, and who else may read, write or replace them."""

import os
import stat
from pathlib import Path

from pki.errors import PkiError

OTHERS = stat.S_IWGRP | stat.S_IRWXO  # what nobody may do with the file of a secret
WRITERS = stat.S_IWGRP | stat.S_IWOTH


def secret_content(path: Path) -> bytes:
    """Return the content of a secret's file; raise PkiError.

    The file belongs to this process's user or to root, and nobody else reads or writes it. The
    file's group may read it, since a Secret of Kubernetes is root's, and is read by the group of
    the pod (`fsGroup`). Nobody else writes to the folders of the file, before and after symbolic
    links. A sticky folder is safe, since the file in it cannot be replaced.
    """
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            content = file.read()
        folders = {folder: folder.stat() for folder in (path.parent, path.resolve().parent)}
    except OSError as error:
        raise PkiError(f"a key cannot be read: {path}: {error.strerror}") from error
    if not content.strip():
        raise PkiError(f"the key {path} is empty")
    if status.st_uid not in {0, os.geteuid()}:
        raise PkiError(f"the key {path} belongs to user {status.st_uid}; make it your own")
    if status.st_mode & OTHERS:
        raise PkiError(
            f"the key {path} of mode {stat.S_IMODE(status.st_mode):04o} is open to others; "
            "`chmod 600` it, and make another key if others may have read this one"
        )
    for folder, found in folders.items():
        is_others = found.st_mode & WRITERS or found.st_uid not in {0, os.geteuid()}
        if is_others and not found.st_mode & stat.S_ISVTX:
            raise PkiError(
                f"others may replace the key {path}: its folder {folder} is of mode "
                f"{stat.S_IMODE(found.st_mode):04o} and belongs to user {found.st_uid}; "
                "`chmod 700` it, and make it your own"
            )
    return content
