"""The gRPC servers of this system, with their limits and what watches over their calls."""

from collections.abc import Sequence
from typing import Any

import grpc.aio
from wire.channels import PUBLIC_SERVER_OPTIONS, SERVER_OPTIONS

from service.faults import Faults
from service.intake import Gate, Intake, open_gate

Options = Sequence[tuple[str, Any]]


def make_server(faults: Faults, options: Options = (), gate: Gate = open_gate) -> grpc.aio.Server:
    """Make a server for callers from outside, who are let in by `gate`; `options` beside the usual.

    Unexpected exceptions are recorded in `faults`.
    """
    return _made(faults, gate, (*PUBLIC_SERVER_OPTIONS, *options))


def make_inner_server(faults: Faults) -> grpc.aio.Server:
    """Make a server for other processes of this system, whose messages may be long."""
    return _made(faults, open_gate, SERVER_OPTIONS)


def _made(faults: Faults, gate: Gate, options: Options) -> grpc.aio.Server:
    counted = tuple(dict(options).items())  # of two options with a name the last counts
    return grpc.aio.server(interceptors=[faults, Intake(gate)], options=counted)
