"""The gRPC servers of this system, with their limits and what watches over their calls."""

from collections.abc import Sequence
from typing import Any

import grpc.aio
from wire.channels import PUBLIC_SERVER_OPTIONS

from service.faults import Faults
from service.intake import Gate, Intake, open_gate

Options = Sequence[tuple[str, Any]]


def make_server(faults: Faults, options: Options = (), gate: Gate = open_gate) -> grpc.aio.Server:
    """Make a server for callers from outside, who are let in by `gate`; `options` beside the usual.

    Unexpected exceptions are recorded in `faults`.
    """
    # Of two options with a name the last counts.
    counted = tuple(dict((*PUBLIC_SERVER_OPTIONS, *options)).items())
    return grpc.aio.server(interceptors=[faults, Intake(gate)], options=counted)
