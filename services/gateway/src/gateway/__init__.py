"""The one address that clients know: stateless, so any number of them may run.

- `core`: routes, batches and retries; synchronous, events in and calls of ports out.
- `auth`: tokens and passwords. `limits`: who may try how often.
- `runtime`: sockets. `api` serves clients, `links` holds a stream to every member.

What it owes a client: one final answer, or an honest "unknown" (DEADLINE_EXCEEDED, UNAVAILABLE),
before the caller's deadline. What it owes the members: the client's bytes as they came, with the
user that the token names; whether that user may, they decide themselves.

Caveats: nothing here is replicated. Retrying is safe because every mutation carries a request id,
and an unanswered one moves to the next leader with the same bytes.
"""
