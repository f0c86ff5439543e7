"""A process from its settings to its exit status."""

import asyncio
import os
import signal
import socket
import sys
import warnings
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import grpc.aio
import uvloop
from pki.contexts import PkiContexts
from pki.errors import PkiError
from pki.identities import ProcessIdentity
from pki.secret_files import secret_content
from pydantic import ValidationError
from wire.tls import ServerTls, TlsFiles

from service import logs
from service.errors import EXIT_SETTINGS, AddressInUse, Exit, SecretUnusable
from service.settings import ServiceSettings, TlsSettings, refusals

UMASK = 0o077
Settings = TypeVar("Settings", bound=ServiceSettings)


def run(
    service: str,
    settings: Callable[[], Settings],
    work: Callable[[Settings], Coroutine[Any, Any, None]],
    name_of: Callable[[Settings], str] | None = None,
) -> int:
    """Run a process until its work ends; return the exit status.

    0: the work ended. EXIT_SETTINGS: a setting is invalid. Else: the status of the raised `Exit`.
    `name_of` returns the name of the process in its log; None: the name is `service`.
    Files and folders that the process makes are its own user's alone.
    """
    os.umask(UMASK)
    try:
        config = settings()
    except ValidationError as error:
        sys.stderr.write(refusals(service, error))
        return EXIT_SETTINGS
    # A stream that is opened as the process ends has a receiver that gRPC never awaits. Its warning
    # would be the last line, where the reason for the end belongs.
    warnings.filterwarnings("ignore", "coroutine '_MessageReceiver", RuntimeWarning)
    name = name_of(config) if name_of else service
    logs.configure(name, config.log_level, config.log_format, config.log_file)
    try:
        uvloop.run(work(config))
    except Exit as end:
        if str(end):
            sys.stderr.write(f"{service}: {end}\n")
        return end.status
    return 0


def secret_in(path: Path) -> str:
    """Return the secret that a file holds; raise SecretUnusable (see `pki.secret_files`)."""
    try:
        return secret_content(path).decode().strip()
    except PkiError as error:
        raise SecretUnusable(str(error)) from error
    except UnicodeDecodeError as error:
        raise SecretUnusable(f"a key cannot be read: {path}: {error}") from error


def contexts_of(config: TlsSettings, identity: ProcessIdentity) -> PkiContexts:
    """Return the TLS contexts of a process that is `identity`; raise SecretUnusable."""
    try:
        contexts = PkiContexts(config.tls_files)
    except PkiError as error:
        raise SecretUnusable(str(error)) from error
    if contexts.identity != identity:
        raise SecretUnusable(
            f"{config.tls_certificate_file} is the certificate of {contexts.identity}, and this "
            f"is {identity}"
        )
    return contexts


def server_tls_in(files: TlsFiles) -> ServerTls:
    """Return how a server speaks TLS by these files, of which certificate and key are needed.

    Raises SecretUnusable.
    """
    if files.key is not None:
        secret_in(files.key)
    try:
        return ServerTls(files)
    except ValueError as error:
        raise SecretUnusable(str(error)) from error


def listen_on(server: grpc.aio.Server, listen: str, tls: ServerTls | None = None) -> None:
    """Let a server listen on host:port, by TLS or, for None, by plain text; raise AddressInUse.

    The address is bound once before: gRPC's C-core would write its own lines about a failure.
    """
    host, _, port = listen.rpartition(":")
    try:
        found = socket.getaddrinfo(host.strip("[]") or None, int(port), type=socket.SOCK_STREAM)
        family, kind, protocol, _, address = found[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
        if tls is None:
            server.add_insecure_port(listen)
        else:
            server.add_secure_port(listen, tls.credentials)
    except OSError as error:
        raise AddressInUse(listen, error.strerror) from error
    except RuntimeError as error:
        raise AddressInUse(listen, f"is the port taken? ({error})") from error


def on_stop(stop: Callable[[], None]) -> None:
    """Call `stop` at SIGTERM and SIGINT, on the running loop."""
    running = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        running.add_signal_handler(number, stop)
