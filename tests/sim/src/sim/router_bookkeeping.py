"""Compares the numbers that a gateway's router keeps with fresh counts.

`contradictions` holds after every call of a router, `remainders` once every request has ended and
the longest deadline has passed.
"""

from collections import Counter
from collections.abc import Iterator

from gateway.requests import Request
from gateway.router import Router


def _queued(router: Router) -> Iterator[Request]:
    """Yield each request that waits in a line or a pause, as often as it does."""
    queue, hedged = router._leader_queue, router._hedged
    yield from queue._commands
    yield from queue._questions
    yield from hedged._waiting
    yield from (request for _, request in hedged._paused)
    yield from (request for _, request in router._paused)


def contradictions(router: Router) -> list[str]:
    """Return each disagreement between two parts of a router's state; empty if there is none."""
    pending = router.pending._requests
    found = []
    queued = Counter(request.id for request in _queued(router) if not request.is_done)
    frames = Counter(request.frame for request in pending.values() if request.frame is not None)
    for request in pending.values():
        if request.is_done:
            found.append(f"request {request.id} is done, and pending")
        places = queued[request.id] + bool(request.member)
        if places != 1 and not (request.is_stale_ok and places):
            found.append(f"request {request.id} is in {places} places")
        if request.member and request.member not in router._open:
            found.append(f"request {request.id} is with {request.member}, whose link is closed")
        if request.frame is not None and not request.member:
            found.append(f"request {request.id} is in a frame, and with nobody")
    found += (f"request {number} is queued, and not pending" for number in queued.keys() - pending)
    for frame, unanswered in frames.items():
        if frame.unanswered != unanswered:
            found.append(f"a frame counts {frame.unanswered} commands of {unanswered}")
    if router._leader_queue._frames_in_flight != len(frames):
        found.append(f"{router._leader_queue._frames_in_flight} of {len(frames)} frames in flight")
    return found


def remainders(router: Router) -> list[str]:
    """Return what a router still keeps although every request has ended; empty if it is nothing."""
    counted = {
        "requests": len(router.pending),
        "deadlines": len(router.pending._deadlines),
        "frames": router._leader_queue._frames_in_flight,
        "requests in lines": sum(1 for _ in _queued(router)),
        "hedges": len(router._hedged._asked),
    }
    return [f"{count} {what}" for what, count in counted.items() if count]
