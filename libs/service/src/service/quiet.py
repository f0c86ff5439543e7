"""Keeps gRPC's C-core from writing to the log; imported before gRPC is.

C-core writes lines of its own form, and repeats what a peer says: the text of a GOAWAY may hold
line feeds, and a line that looks like one of ours.
"""

import os

os.environ.setdefault("GRPC_VERBOSITY", "NONE")
