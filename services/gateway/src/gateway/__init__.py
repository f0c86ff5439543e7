"""The one address that clients know: stateless, so any number of them may run.

- `router`: routes, batches and retries; synchronous, events in and calls of ports out. Its parts:
  `pending_requests` has the requests without an answer, `leader_queue` makes the leader's frames,
  `leader_view` follows the leader, `hedging` spreads the reads that any member may answer.
- `errors`: what ends a request without a result.
- `auth`: tokens and passwords. `login_limiter`: how often a name may try a password.
- `runtime`: sockets. `api` serves clients, `links` holds a stream to every member.

What it owes a client: one final answer, or an honest "unknown" (DEADLINE_EXCEEDED, UNAVAILABLE),
before the caller's deadline. What it owes the members: the client's bytes as they came, with the
user that the token names. The members decide whether that user may.

Caveats: nothing here is replicated. Retrying is safe because every mutation carries a request id,
and an unanswered one moves to the next leader with the same bytes.
"""

import service.quiet  # noqa: F401 - before anything imports gRPC
